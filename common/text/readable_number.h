#pragma once

#include <string>

// Numbers as people read them. Pure functions.
namespace arcshard {

// "1234", "2.5", "0.42", "0.0031": of a rate below 10 enough digits to tell it from others, and from 0.
std::string ReadableRate(double rate);

// The epochs that are done of `total`: "3.25" of 12, "0.00466" of 0.007. Never more than there are; digits after the
// point: two of an epoch or of `total`, whichever is less.
std::string ReadableEpochs(double done, double total);

}  // namespace arcshard
