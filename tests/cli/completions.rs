//! Completions, and help.

use crate::tool::{bare, run};

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&mut bare(&["completions", shell]));
        assert!(ran.code == 0 && ran.stdout.contains("set-permissions"), "{shell}: {}", ran.stderr);
    }
    let script = run(&mut bare(&["completions", "bash"])).stdout;
    let mut bash = std::process::Command::new("bash");
    let test = "source /dev/stdin && COMP_WORDS=(keyward token r) COMP_CWORD=2 && _keyward keyward r token && echo ${COMPREPLY[@]}";
    let mut child = bash
        .args(["-c", test])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let words = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(words.trim(), "rotate revoke");
}

#[test]
fn help_lists_exit_codes_and_variables() {
    let help = run(&mut bare(&["--help"]));
    assert_eq!(help.code, 0);
    for text in ["Exit codes:", "3  a token, an owner or a role does not exist", "KEYWARD_HASH_KEY", "KEYWARD_DATABASE"]
    {
        assert!(help.stdout.contains(text), "{text}: {}", help.stdout);
    }
}
