//! The helper binary: frames on standard input, frames on standard output, until the input ends.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_agent::serve::main()
}
