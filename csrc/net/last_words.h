// What a process says that is told to end (SIGTERM) while it waits for others and could not answer otherwise.
#pragma once

#include <string>

namespace yolo::net {

// One at a time. Its life is the time of waiting; who has a handler of his own for SIGTERM keeps it.
class LastWords {
public:
    LastWords();
    ~LastWords();
    LastWords(const LastWords&) = delete;
    LastWords& operator=(const LastWords&) = delete;

    // One line, cut off behind its 500th character.
    void set(const std::string& line);

private:
    bool ours_ = false;
};

}  // namespace yolo::net
