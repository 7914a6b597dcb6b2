//! The socket: who may ask, and what is answered to what can't be read.

use crate::activator::serve::Peer;
use crate::activator::tests::world::World;
use crate::model::id::Attempt;
use crate::wire::helper::{Answer, Request, Which, read_answer, write_request};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const ROOT: Peer = Peer { uid: 0, program: None };

#[test]
fn what_can_not_be_read_is_refused_and_changes_nothing() {
    let world = World::new();
    for line in ["", "\n", "{", "[]", "{\"v\":9,\"request\":{\"kind\":\"status\"}}", "{\"v\":1,\"request\":\"status\"}"]
    {
        assert!(matches!(world.helper.answer(line, &ROOT), Answer::Malformed { .. }), "{line:?}");
    }
    assert!(world.script.lock().unwrap().calls.is_empty());
}

#[test]
fn an_attempt_that_is_not_known_is_unknown() {
    let world = World::new();
    let which = Which::of(&"stable@7".parse().unwrap(), Attempt(1));
    let reboot = Request::Reboot { which: which.clone(), signed_release: String::new() };
    for request in [Request::Pat(which.clone()), Request::Commit(which), reboot] {
        assert_eq!(world.helper.answer(&write_request(&request), &ROOT), Answer::Unknown);
    }
}

#[test]
fn one_connection_is_one_question() {
    let world = World::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(write_request(&Request::Machine).as_bytes()).unwrap();
    world.helper.serve(theirs).unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with('\n'));
    // This process's own user asks: root may, everyone else has to be the agent's user.
    let read = read_answer(&answer).unwrap();
    let root = nix::unistd::getuid().is_root();
    assert!(if root { matches!(read, Answer::Machine { .. }) } else { matches!(read, Answer::Refused { .. }) });
}
