//! Starts a real mosquitto for the tests of this package, and compares what programs do with recorded transcripts.
