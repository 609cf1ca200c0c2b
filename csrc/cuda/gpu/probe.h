// Whether a GPU is there that kernels are made for.
#pragma once

#include <string>

namespace yolo::cuda {

// What the CUDA runtime says of the machine. Numbers of versions are CUDA's: 13050 is 13.5.
struct Probe {
    int status = 0;   // of the count
    int runtime = 0;  // that is linked here
    int driver = 0;   // the newest that the driver knows; 0 where there is no driver
    int devices = 0;
    std::string error;         // the status in words
    std::string visible;       // CUDA_VISIBLE_DEVICES
    std::string name;          // of the device
    int major = 0, minor = 0;  // its compute capability
    int index = 0;             // which device was asked for
};

// Asks the runtime, for one device. Makes no context on the device, and so takes none of its memory.
Probe probe(int index);

// Why there is no device to run on, in one line; empty where there is one.
std::string objection(const Probe& probe);

// 13050 as 13.5.
std::string version(int number);

}  // namespace yolo::cuda
