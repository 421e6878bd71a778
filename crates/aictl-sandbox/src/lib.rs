//! The isolation engine.
