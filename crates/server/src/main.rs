//! The `quintet` binary.

fn main() -> std::process::ExitCode {
    quintet::cli::main()
}
