#pragma once

#include <string>

namespace arcshard {

// A disk of its own, in memory, that can be full. Mounting it needs root.
class SmallDisk {
 public:
  SmallDisk(const std::string& folder, int megabytes);
  ~SmallDisk();

  bool mounted() const { return mounted_; }
  std::string why_not() const;

  // Leaves no byte free.
  void Fill() const;
  void MakeRoom() const;

 private:
  std::string Ballast() const { return folder_ + "/ballast"; }

  const std::string folder_;
  bool mounted_ = false;
  int error_ = 0;
};

}  // namespace arcshard
