//! Archives that GNU tar 1.34 wrote, of a directory `t` with an executable file `run`, a hard link `same` and a symbolic
//! link `link` to it, an empty directory `empty`, a file whose name has 120 letters, a file in a directory whose name has
//! 90, a link whose target has 120, and a file `é`.

use std::io::Read;

use flate2::bufread::GzDecoder;

use super::{fixtures::shown, walking::walk};

// tar --format=gnu --sort=name --mtime=@1700000000 --owner=u:3000000000 --group=0 --numeric-owner -c t | gzip -9n | xxd -p
const GNU: &str = "1f8b0800000000000203ed984d4ec3301046bde61446eceb7f7bcb9e9c0129a82e44a46e95a412ecb80e5baec00538124e04\
     482412552a8d53e4799b38dd74f132df8ca763041c1e71c69097787efbb81dde23dfcfe12cb491da39ae87dfad5592504312\
     7068bbb2a194644ac7d660b053fd2baeac40ffffdeffa6aafd977fabf51ffef5c8bf90c210cad13f386beff70421f9d6bfdf\
     eebb67d029607eff77f184f99f82155bb1eb6217ee8b2a3c02faeff37fe4fdc7bf70e2d7b730f88ffdff06fd83f3b41098bc\
     e792ff9bb24971ff736ec6fc6fadd584ca141f62f6f37f0d17fca7fa175c2a1bfd378780f99f43ff57d3fe1febbfc0fe9fa0\
     fec34260efcdc5fffcfd4f1c0024ee7f5250c7e8c72ac8b9fee187aca3fb1f21c7fb1f6570ff9b84ab4b765705d63e5c602d\
     e459ff6db9f50bd7fff4fea7fbfbbf48114ed9cfffefafd0ff717cfe9be47fffc0fc4f00bc7d044110e41cf9047f9b685700\
     280000";
// tar --format=posix --pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f --sort=name
//   --mtime=@1700000000.75 --owner=0 --group=0 --numeric-owner -c t | gzip -9n | xxd -p
const POSIX: &str = "1f8b0800000000000203ed99dd6e82401085b9f629687a2f3bfbc35e79dfcbbe020d5849851ac1c43e92cfe18b7531355a6c\
     b5d8cc2ae17c371863a2389c337366c7d173b27eca92345b56511db0201cb1d6bbaba37d1542da80b491da5aa19bf749e8d8\
     04e13af0c0aaaa93a5fb29c130912a2ceabcc82664f7d5185b330ac030a823feef681e2a6bcceffa77afbfe9df7d9a64109a\
     3ee9bf7d73bda9ff91ffa73c74f67f455a28f83ffc1ff0eb3f6523bad6ff15494df0ffded7ffabb55ce1ff4a63fe87ff837e\
     eb7f9acfb3bfe47fa15bfa97ae5f04a1e893fe7beaff69962da08221ebff28ff65c5a2fee0c9ffddf67fa4e318fd1ffd1ff0\
     eb7f277ad62d60e7fc47223602f9cfbbff4fdd3fc154ff73fe2f9569fb3f0982fffbc025ed709e976f8ba49e4dd63762842e\
     743bfd3389beedffd676d8ff59e3ec22943e9e3df8ffc1ff1b23b881ffff30ff4b9cff63fe073ef4cf24fafff8bf9bffc8e5\
     7fb95c9598ff3dfa7fc9c3e5f95fb5fabfa226ffc1ff7dccff32dccdfe3557f52f82e9ffa6fae72f70f7f31f6db4c4f98f0f\
     e6efe52b543064fd1ff57fa679eb8afc474aa3ff23ff017efdf387ac8be73f24dbe73fcd9100fabf071e1fa297bc8caa1924\
     8ffe5f2545761ffd5f1aec7fd1ff8107fd3389be4bff3fddffaae6fc8f7c0c27d8ff1efc7fbb61abff59ffd7fa24ffc512fe\
     ef0352fbf5ef768345ec10fd9f49f45df42f4ef35f2c90ff7cc05f7d0000000000000000f7c02731503b3c00500000";
// tar --format=ustar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner --exclude='t/nnn*'
//   --exclude=t/far -c t | gzip -9n | xxd -p
const USTAR: &str = "1f8b0800000000000203edd84b0e82301405d08e5d458d0be8877ed6a3a14622100265e0925c871bb3210e0c26188cad12ee\
     99943021ed6d5f5b3c23d1f1c06a3db4c1b81d9e85d25259cbd5f0de6a2109d52481bef3fb367cf21b9d7ceedc42789647c3\
     3ecd3f135209e4bff8fc8f45e91e4363949ac85f8df29761be10ca917f74b9730d81d5f2cc558dbf443d05ccaeff821bcd51\
     ffd3e45f16f539c1f9cfda19f9078650d9f635f28f9d7ffc417ebbfec3617fb4fe6586fd3f89dd961d8a9a75a70df6c275ee\
     ffddbe727f76ff17220bd7052a5214a7d5d7ffdb35c5ff9fe9fbdf6bfd371cf53f85f8e9030000000000000000c0afdc019f\
     f57a7800280000";
// truncate -s 1M sp; printf x >>sp; tar --format=gnu -S --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner
//   -c sp | gzip -9n | xxd -p
const SPARSE_GNU: &str = "1f8b0800000000000203edd0410e82400c05d01e658ee084c68b70026e6040128ecfe88aa8ac8c1292f736bf69174d3bdde2\
     e72ecd35f399cd6b367553b77eed32bb287dfcc13cdd87b19438cce3e4dcf9487ef8ce170beafb7009000000000000000000\
     ce6805da08f56400280000";
// The same with --format=posix.
const SPARSE_POSIX: &str = "1f8b0800000000000203edd4cd4ac4301405e0acf3147d82f4defc349d45b73a2b11c407089a4565662cc908659ede587f90\
     b870e30865ced742cab985d28653d5de86791bc3634cb9cd9338072a3a6b97b5a857d2c67d5d2f3953474634b3f8072ff918\
     5279bcb84c5a37d737f72a4f21e5a8f6e1e9390d2cab743c9494aaf410f671c89334fc3d4d31ecf2788a0393ed9df7d25013\
     8e63b995fdc6694de550969df59bbe776fd3879f53fe980a3837d596cdbb5bf6ee6adc456534f5e68f7f04bff49fcb59f55f\
     fbce8a86d6d4fffae5d6d27ff95ed44eb2fcac2ca1781763c62700000000000000000000000000000058bd5782621b820028\
     0000";

fn inflated(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    let gzip: Vec<u8> = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect();
    let mut archive = Vec::new();
    GzDecoder::new(&gzip[..]).read_to_end(&mut archive).unwrap();
    archive
}

#[track_caller]
fn check(hex: &str, expected: &[&str]) {
    let lines: Vec<String> = walk(&inflated(hex)).unwrap().iter().map(shown).collect();
    assert_eq!(lines, expected);
}

fn lines(with_long: &[String]) -> Vec<&str> {
    with_long.iter().map(String::as_str).collect()
}

fn tree() -> Vec<String> {
    let (d, n, x) = ("d".repeat(90), "n".repeat(120), "x".repeat(120));
    vec![
        "d 755 t".to_owned(),
        format!("d 755 t/{d}"),
        format!("f 644 t/{d}/file deep"),
        "d 755 t/empty".to_owned(),
        format!("l 777 t/far -> {x}"),
        "l 777 t/link -> run".to_owned(),
        format!("f 644 t/{n} long"),
        "f 755 t/run #!/bin/sh\n".to_owned(),
        "h 755 t/same -> t/run".to_owned(),
        "f 644 t/é é".to_owned(),
    ]
}

#[test]
fn archives_of_gnu_tar_are_read_in_each_of_its_formats() {
    let all = tree();
    check(GNU, &lines(&all));
    check(POSIX, &lines(&all));
    let short: Vec<String> = all.into_iter().filter(|line| !line.contains("nnn") && !line.contains("xxx")).collect();
    check(USTAR, &lines(&short));
}

#[test]
fn times_and_owners_are_read() {
    for (hex, uid) in [(GNU, 3_000_000_000), (POSIX, 0), (USTAR, 0)] {
        let found = walk(&inflated(hex)).unwrap();
        assert!(found.iter().all(|(entry, _)| entry.mtime == 1_700_000_000 && entry.uid == uid));
    }
}

#[test]
fn sparse_files_are_refused_by_name() {
    for (hex, path) in [(SPARSE_GNU, "sp"), (SPARSE_POSIX, "sp")] {
        let error = walk(&inflated(hex)).unwrap_err();
        assert!(error.to_string().starts_with("`"), "{error}");
        assert!(error.to_string().ends_with("is a sparse file, which is not written"), "{error}");
        assert!(error.to_string().contains(path));
    }
}
