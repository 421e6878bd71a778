//! What runs the attack corpus: reading the cases, planting what they look for, running them.

pub mod case;
pub mod run;
pub mod world;
