// The severities that glog's other headers name. OneFlow 0.9.0's wheel holds those headers (glog 0.5, BSD-3-Clause,
// Google) but not this one; the values are glog's public interface.
#pragma once

using LogSeverity = int;

constexpr int GLOG_INFO = 0;
constexpr int GLOG_WARNING = 1;
constexpr int GLOG_ERROR = 2;
constexpr int GLOG_FATAL = 3;
constexpr int NUM_SEVERITIES = 4;
constexpr int INFO = GLOG_INFO;
constexpr int WARNING = GLOG_WARNING;
constexpr int ERROR = GLOG_ERROR;
constexpr int FATAL = GLOG_FATAL;

#ifdef NDEBUG
#define DFATAL_LEVEL ERROR
#else
#define DFATAL_LEVEL FATAL
#endif
