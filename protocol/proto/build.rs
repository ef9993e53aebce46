//! Compiles the .proto files without protoc.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["towpath/link/v1/link.proto", "towpath/enrol/v1/enrol.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(files)?;
    let admin = ["admin", "access", "audit"].map(|file| format!("towpath/admin/v1/{file}.proto"));
    let admin = protox::compile(admin, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("towpath.admin.v1.bin"), admin.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(admin)?;
    Ok(())
}
