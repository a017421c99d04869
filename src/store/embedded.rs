//! On this machine: memory for what is hot, a file for what must outlive a crash.
