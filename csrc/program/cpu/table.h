// The kinds of steps that this executor knows.
#pragma once

#include <string>

#include "program/cpu/builders.h"

namespace yolo::program {

// What builds steps of a kind; null for one that is unknown.
Builder* builder_of(const std::string& kind);

}  // namespace yolo::program
