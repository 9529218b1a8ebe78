#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace arcshard::bench {

// A cost by the number of members.
struct Series {
  std::string name;
  char mark = '*';
  std::vector<std::pair<double, double>> points;  // (members, milliseconds), ascending and positive
};

// b of cost = a·members^b through the last two points: 1 is linear. Requires two points.
double GrowthExponent(const Series& series);

// A plot for a terminal and for documents, both axes logarithmic. A line of dots shows linear growth.
std::string PlotOf(const std::vector<Series>& series);

}  // namespace arcshard::bench
