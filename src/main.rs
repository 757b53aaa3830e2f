//! The program `tidewatch`: parses the command line and calls the library.

use std::process::ExitCode;

use clap::Parser as _;
use tidewatch::cli::{self, Cli};
use tidewatch::config::Environment;

fn main() -> ExitCode {
    cli::run(Cli::parse(), Environment::of_process())
}
