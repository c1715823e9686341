//! All that a client does can be given to a task, which any thread may go on with.

use std::path::Path;

use refs_client::{
    ByteRange, Client, Existing, FetchOptions, Location, PackOptions, PullOptions, PushOptions, ReadOptions,
    TreeOptions, UnpackOptions,
};
use refs_registry::Platform;

fn assert_send<T: Send>(_: T) {}

#[tokio::test]
async fn futures_of_a_client_can_be_sent_to_other_threads() {
    let (_, client) = crate::setup::memory();
    let (client, at, path): (&Client, &Location, &Path) =
        (&client, &crate::setup::at(crate::setup::IN_MEMORY), Path::new("nowhere"));
    let Location::Registry(reference) = at else { panic!("{at} is of no registry") };
    let read = &ReadOptions::default();
    assert_send(client.source(at));
    assert_send(client.sink(at));
    assert_send(client.list_files(at, read));
    assert_send(client.inspect(at, read));
    assert_send(client.read_file(at, "a", read, Vec::new()));
    assert_send(client.read_range(at, "a", ByteRange::ALL, read, Vec::new()));
    assert_send(client.get_manifest(at, read));
    assert_send(client.pull(at, path, &PullOptions::default()));
    assert_send(client.push(path, at, &PushOptions::default()));
    assert_send(client.pack(path, path, Existing::Refuse, &PackOptions::default()));
    assert_send(client.resolve_tag(at));
    assert_send(client.get_digest(at));
    assert_send(client.resolve_platform(at, &Platform::linux_here()));
    assert_send(client.list_tags(at));
    assert_send(client.repositories(reference.host()));
    assert_send(client.check_auth(reference.host()));
    assert_send(client.set_tags(at, &[]));
    assert_send(client.delete(at));
    assert_send(client.fetch(at, &FetchOptions::default()));
    assert_send(client.blob_size(at));
    assert_send(client.read_blob(at, Vec::new()));
    assert_send(client.save_blob(at, path));
    assert_send(client.put_file(at, path));
    assert_send(client.put_stream(at, std::io::empty()));
    assert_send(client.tree(at, &TreeOptions::default()));
    assert_send(client.unpack(at, path, &UnpackOptions::default()));
}
