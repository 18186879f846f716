//! Plays to programs: what runs in which order, and where hosts have to wait for each other.

pub mod critical;
pub mod draw;
pub mod gates;
pub mod graph;
pub mod program;
pub mod tags;

pub use gates::{Gate, gates};
pub use graph::{PlayGraph, Point, Why};
pub use program::{BlockId, Context, Node, Program, Section, Slot, Step, StepId, flatten};
pub use tags::TagFilter;
