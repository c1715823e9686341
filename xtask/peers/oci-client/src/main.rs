//! The crate oci-client as a program, for `cargo xtask bench`.
//!
//! ```text
//! oci-client-peer push DIRECTORY REFERENCE
//! oci-client-peer pull REFERENCE DIRECTORY
//! oci-client-peer parse                      time of each form, as JSON
//! oci-client-peer first refs|oci REFERENCE   nanoseconds of the first parse in this process
//! ```

mod artifact;
mod parse;

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Box<dyn Error>> {
    match words {
        ["push", directory, reference] => artifact::push(Path::new(directory), reference),
        ["pull", reference, directory] => artifact::pull(reference, Path::new(directory)),
        ["parse"] => {
            println!("{}", parse::table()?);
            Ok(())
        }
        ["first", parser, reference] => {
            println!("{}", parse::first(parser, reference)?);
            Ok(())
        }
        _ => {
            Err("usage: push DIRECTORY REFERENCE | pull REFERENCE DIRECTORY | parse | first refs|oci REFERENCE".into())
        }
    }
}
