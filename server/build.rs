//! The migrations are embedded in the program: a new one must be seen, although no source file changes with it.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
