//! The controller itself as a host: the same modules, in this process.

use super::link::{Blob, BlobSource};
use quorate_agent::module::{Body, ContentProvider, run_local};
use quorate_agent::protocol::{Hash, Job};
use quorate_agent::system::process::Cancel;
use quorate_value::Dict;
use std::collections::HashMap;
use std::sync::Arc;

/// Runs a job on a thread of its own.
pub(super) async fn run(job: Job, blobs: Vec<Blob>) -> Dict {
    let module = job.module.clone();
    let offer = Offer(blobs.into_iter().map(|blob| (blob.hash, blob.source)).collect());
    let cancel = Cancel::default();
    // whoever gives up on this (a timeout) kills what the job has started
    let guard = CancelOnDrop(cancel.clone());
    let done = tokio::task::spawn_blocking(move || run_local(&job, Arc::new(offer), &cancel)).await;
    std::mem::forget(guard);
    let why = match done {
        Ok(Ok(result)) => return result,
        Ok(Err(panicked)) => panicked.to_string(),
        Err(_) => format!("the module {module} has a bug and stopped half-way"),
    };
    quorate_value::dict! {"failed" => true, "msg" => why}
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Content of this controller for a job in this process.
struct Offer(HashMap<Hash, BlobSource>);

impl ContentProvider for Offer {
    fn fetch(&self, hash: &Hash, _: &Cancel) -> Result<Body, String> {
        Ok(match self.0.get(hash).ok_or("the controller has no such content")? {
            BlobSource::Bytes(bytes) => Body::Memory(bytes.clone()),
            BlobSource::File(path) => Body::File(path.clone()),
        })
    }
}
