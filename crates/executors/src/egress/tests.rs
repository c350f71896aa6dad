//! The vectors: every notation of every place that must not be reached, and the places that must.

use super::*;

fn verdict(policy: &Policy, url: &str) -> Result<(), Refusal> {
    Guard::new(policy.clone()).admit(url).map(|_| ())
}

fn rules(entries: &[&str]) -> Policy {
    Policy {
        allow: entries.iter().map(|entry| entry.parse().expect("entry")).collect(),
        ..Policy::default()
    }
}

/// Refused by the default settings without looking anything up.
const REFUSED: &[&str] = &[
    // loopback in every notation
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/x",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.1./",
    "http://127.0.0.1。/",
    "http://127。0。0。1/",
    "http://１２７.０.０.１/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.%31/",
    "HTTP://127.0.0.1/",
    "HtTpS://127.0.0.1/",
    " http://127.0.0.1/ ",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:///127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0\t.0.1/",
    "http://127.0.\n0.1/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000::0001]:80/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    // the unspecified addresses, which reach this machine too
    "http://0.0.0.0/",
    "http://0/",
    "http://0x0/",
    "http://[::]/",
    // private
    "http://10.0.0.1/",
    "http://167772161/",
    "http://012.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://0xac100001/",
    "http://192.168.0.1/",
    "http://192.168.1/",
    "http://3232235521/",
    "http://100.64.0.1/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:c0a8:1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[2002:a00:1::1]/",
    "http://[fc00::1]/",
    "http://[fdff:ffff::1]/",
    // link-local and metadata
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.254.169.254./",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://169.254.170.2/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://[fd00:ec2::254]/",
    "http://[fd00:0ec2:0:0:0:0:0:254]/",
    "http://169.254.1.1/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./",
    "http://metadata.amazonaws.com/",
    "http://metadata/",
    // reserved for other things
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[ff02::1]/",
    // other schemes, in part with a host that would be fine
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "gopher://2130706433/",
    "ftp://example.com/",
    "dict://example.com:11211/stat",
    "data:text/plain,hello",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "httpfoo://example.com/",
    "//example.com/",
    "example.com",
    "",
    // user-info
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://:password@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    // ports that do not speak HTTP
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:5432/",
    "http://example.com:6379/",
    "https://8.8.8.8:3306/",
    // no host, or none that can be
    "http://",
    "http:///",
    "http://exa mple.com/",
    "http://[::1/",
    "http://256.256.256.256/",
    "http://1.2.3.4.5/",
    "http://example.com:99999/",
];

#[test]
fn every_notation_of_every_forbidden_place_is_refused() {
    assert!(REFUSED.len() >= 60);
    for url in REFUSED {
        assert!(verdict(&Policy::default(), url).is_err(), "{url:?} was admitted");
    }
}

#[test]
fn public_places_are_admitted() {
    for url in [
        "http://example.com/",
        "https://example.com:8443/a?b=c#d",
        "HTTPS://EXAMPLE.COM/",
        "https://bücher.example/",
        "http://8.8.8.8/",
        "http://134744072/",
        "http://172.15.255.255/",
        "http://172.32.0.1/",
        "http://100.128.0.1/",
        "http://169.253.0.1/",
        "http://[2606:4700::1111]:8080/",
        "http://[::ffff:8.8.8.8]/",
        "http://metadata.example.com/",
    ] {
        assert_eq!(verdict(&Policy::default(), url), Ok(()), "{url}");
    }
}

#[test]
fn settings_open_their_own_class_and_no_other() {
    let private = Policy {
        allow_private: true,
        ..Policy::default()
    };
    let loopback = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    for (url, by_private, by_loopback) in [
        ("http://10.0.0.1/", true, false),
        ("http://[fd12::1]/", true, false),
        ("http://100.64.0.1/", true, false),
        ("http://127.0.0.1:9999/", false, true),
        ("http://[::1]/", false, true),
        ("http://[::ffff:127.0.0.1]/", false, true),
        ("http://[64:ff9b::127.0.0.1]/", false, false),
        ("http://0.0.0.0/", false, false),
        ("http://169.254.169.254/", false, false),
        ("http://100.100.100.200/", false, false),
        ("http://[fd00:ec2::254]/", false, false),
        ("http://168.63.129.16/", false, false),
        ("http://metadata.google.internal/", false, false),
        ("http://169.254.1.1/", false, false),
        ("http://10.0.0.1:6379/", false, false),
        ("http://127.0.0.1:5432/", false, false),
    ] {
        assert_eq!(verdict(&private, url).is_ok(), by_private, "{url}");
        assert_eq!(verdict(&loopback, url).is_ok(), by_loopback, "{url}");
    }
}

#[test]
fn entries_of_the_allow_list_open_exactly_their_host_and_port() {
    let policy = rules(&[
        "10.2.0.0/16:8443",
        "127.0.0.1:9000",
        "[fd00::/16]:80",
        "redis.internal:6379",
    ]);
    for (url, is_admitted) in [
        ("https://10.2.3.4:8443/", true),
        ("https://10.2.3.4/", false),
        ("https://10.3.0.1:8443/", false),
        ("http://127.0.0.1:9000/", true),
        ("http://[::ffff:127.0.0.1]:9000/", true),
        ("http://127.0.0.1:9001/", false),
        ("http://127.0.0.2:9000/", false),
        ("http://[fd00::9]/", true),
        ("http://redis.internal:6379/", true),
        ("http://other.internal:6378/", true),
        ("http://8.8.8.8:6379/", false),
    ] {
        assert_eq!(verdict(&policy, url).is_ok(), is_admitted, "{url}");
    }
}

#[test]
fn metadata_needs_an_entry_for_itself() {
    for entries in [
        &["169.254.0.0/16"][..],
        &["0.0.0.0/0", "::/0"],
        &["*.google.internal"],
        &["fd00::/8"],
    ] {
        for url in [
            "http://169.254.169.254/",
            "http://metadata.google.internal/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(verdict(&rules(entries), url).is_err(), "{entries:?} opened {url}");
        }
    }
    assert_eq!(
        verdict(&rules(&["169.254.169.254:80"]), "http://169.254.169.254/"),
        Ok(())
    );
    assert!(verdict(&rules(&["169.254.169.254:80"]), "http://169.254.169.254:81/").is_err());
    assert_eq!(
        verdict(
            &rules(&["metadata.google.internal"]),
            "http://metadata.google.internal/"
        ),
        Ok(())
    );
}

#[test]
fn a_permitted_translation_block_does_not_open_what_is_hidden_in_it() {
    let policy = rules(&["64:ff9b::/96"]);
    assert_eq!(verdict(&policy, "http://[64:ff9b::8.8.8.8]/"), Ok(()));
    for hidden in ["127.0.0.1", "10.0.0.1", "169.254.169.254"] {
        assert!(
            verdict(&policy, &format!("http://[64:ff9b::{hidden}]/")).is_err(),
            "{hidden}"
        );
    }
}

#[test]
fn own_denied_blocks_are_refused_unless_allowed() {
    let deny = vec!["8.8.0.0/16".parse().expect("block")];
    let policy = Policy {
        deny,
        ..rules(&["8.8.4.4:80"])
    };
    assert!(matches!(
        verdict(&policy, "http://8.8.8.8/"),
        Err(Refusal::Denied { .. })
    ));
    assert!(matches!(
        verdict(&policy, "http://8.8.4.4:81/"),
        Err(Refusal::Denied { .. })
    ));
    assert_eq!(verdict(&policy, "http://8.8.4.4/"), Ok(()));
    assert_eq!(verdict(&policy, "http://9.9.9.9/"), Ok(()));
}

#[test]
fn a_named_host_may_resolve_to_anything_but_metadata() {
    let guard = Guard::new(rules(&["worker.internal:80"]));
    let judge = |port, address: &str| guard.judge("worker.internal", port, address.parse().expect("address"));
    assert_eq!(judge(80, "10.0.0.1"), Ok(()));
    assert_eq!(judge(80, "127.0.0.1"), Ok(()));
    assert!(judge(81, "10.0.0.1").is_err());
    assert!(judge(80, "169.254.169.254").is_err());
    assert!(judge(80, "::ffff:169.254.169.254").is_err());
}

#[test]
fn the_operators_urls_may_point_inside_but_stay_urls_of_the_web() {
    let guard = Guard::new(Policy::default()).for_operator();
    for url in [
        "http://127.0.0.1:8080/",
        "http://10.0.0.1:6379/",
        "http://memarch:8105/",
    ] {
        assert!(guard.admit(url).is_ok(), "{url}");
    }
    for url in ["ftp://x/", "http://u:p@x/", "http://"] {
        assert!(guard.admit(url).is_err(), "{url}");
    }
}

#[test]
fn a_refusal_says_what_and_which_setting_permits_it() {
    let message = |url: &str| verdict(&Policy::default(), url).expect_err("refused").to_string();
    assert_eq!(message("ftp://x"), "url must be http or https");
    assert_eq!(
        message("http://0x7f.1/"),
        "127.0.0.1 is refused because 127.0.0.1 is a loopback address: list it in `egress.allow`, or set \
         `egress.allow_loopback`"
    );
    for url in [
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://metadata/",
        "http://example.com:22/",
        "http://0/",
    ] {
        assert!(message(url).contains("`egress.allow`"), "{url}");
    }
}
