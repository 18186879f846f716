//! The reference of what the controller itself does: actions that are no module of the helper.
//!
//! Not here: what they do (`run/actions`).

use quorate_agent::spec::{Check, Kind, Lit, Param, Spec};

const fn action(name: &'static str, summary: &'static str, params: &'static [Param]) -> Spec {
    Spec::new(name, summary).params(params)
}

const TASKS_FROM: &[Param] = &[
    Param::str("name").aliases(&["role"]).required().doc("The role."),
    Param::str("tasks_from").default_str("main").doc("File of its `tasks/`."),
    Param::str("vars_from").default_str("main").doc("File of its `vars/`."),
    Param::str("defaults_from").default_str("main").doc("File of its `defaults/`."),
    Param::str("handlers_from").default_str("main").doc("File of its `handlers/`."),
    Param::bool("allow_duplicates").default_bool(true).doc("Run it even though it ran already."),
    Param::bool("public").doc("Its variables and defaults are seen by the rest of the play."),
    Param::bool("rolespec_validate")
        .default_bool(true)
        .doc("Check its arguments as its `argument_specs` say."),
];

const INCLUDE_ROLE: &[Param] = &[
    Param::str("name").aliases(&["role"]).required().doc("The role."),
    Param::str("tasks_from").default_str("main").doc("File of its `tasks/`."),
    Param::str("vars_from").default_str("main").doc("File of its `vars/`."),
    Param::str("defaults_from").default_str("main").doc("File of its `defaults/`."),
    Param::str("handlers_from").default_str("main").doc("File of its `handlers/`."),
    Param::bool("allow_duplicates").default_bool(true).doc("Run it even though it ran already."),
    Param::bool("public").doc("Its variables and defaults are seen by the rest of the play."),
    Param::bool("rolespec_validate")
        .default_bool(true)
        .doc("Check its arguments as its `argument_specs` say."),
    Param::new("apply", Kind::Dict).doc("Keywords for every task of it."),
];

/// Actions without a table in the helper.
pub(super) static ACTIONS: &[Spec] = &[
    action("add_host", "Add a host to the inventory of this run", &[
        Param::str("name").required().aliases(&["host", "hostname"]).doc("Its name, with `:port` where it needs one."),
        Param::list("groups", Kind::Str).aliases(&["group", "groupname"]).doc("Groups it joins; made where they do not exist. Everything else given becomes a variable of it."),
    ])
    .any_params(),
    action("assert", "Fail unless all conditions hold", &[
        Param::list("that", Kind::Str).required().doc("Conditions, as in `when`."),
        Param::str("fail_msg").aliases(&["msg"]).doc("What to say when one does not hold."),
        Param::str("success_msg").doc("What to say when all hold."),
        Param::bool("quiet").default_bool(false).doc("Say nothing when all hold."),
    ]),
    action("debug", "Show text or a variable", &[
        Param::str("msg").default_str("Hello world!").doc("The text."),
        Param::str("var").doc("The variable, by name. Not together with `msg`."),
        Param::int("verbosity").default_int(0).doc("Only with at least so many `-v`."),
    ]),
    action("fail", "Fail with a message", &[
        Param::str("msg").default_str("Failed as requested from task").doc("The message."),
    ]),
    action("gather_facts", "Gather facts as the play would", &[
        Param::bool("parallel").doc("Accepted; facts are gathered in one go."),
    ])
    .any_params(),
    action("group_by", "Put hosts into groups by what is known of them", &[
        Param::str("key").required().doc("The group's name, usually a template."),
        Param::list("parents", Kind::Str).default(Lit::List(&["all"])).doc("Groups above it."),
    ]),
    action("import_playbook", "Plays of another file, read before anything runs", &[
        Param::str("_raw_params").required().doc("The file, relative to this one. A play of its own, never a task."),
    ])
    .free_form(),
    action("import_role", "Tasks of a role, read before anything runs", TASKS_FROM),
    action("import_tasks", "Tasks of a file, read before anything runs", &[
        Param::str("file").aliases(&["_raw_params"]).required().doc("The file."),
    ])
    .free_form(),
    action("include_role", "Tasks of a role, when this task is reached", INCLUDE_ROLE),
    action("include_tasks", "Tasks of a file, when this task is reached", &[
        Param::str("file").aliases(&["_raw_params"]).required().doc("The file."),
        Param::new("apply", Kind::Dict).doc("Keywords for every task of it."),
    ])
    .free_form(),
    action("include_vars", "Variables from files of the controller", &[
        Param::path("file").aliases(&["_raw_params"]).doc("The file."),
        Param::path("dir").doc("A folder instead, all of its files."),
        Param::str("name").doc("Name of a mapping to put them into."),
        Param::int("depth").default_int(0).doc("How deep to look into folders; 0 is all the way."),
        Param::str("files_matching").doc("Regular expression for names of files."),
        Param::list("ignore_files", Kind::Str).doc("Files to leave out."),
        Param::list("extensions", Kind::Str).default(Lit::List(&["json", "yaml", "yml"])).doc("Extensions that count."),
        Param::bool("ignore_unknown_extensions").default_bool(false).doc("Leave files with others out without a word."),
        Param::str("hash_behaviour").choices(&["replace", "merge"]).doc("What becomes of mappings that exist."),
    ])
    .free_form(),
    action("quorate_switch", "The beginning and the end of a block with `rollback_after`: not for playbooks", &[
        Param::str("state").required().doc("`armed`, `confirmed` or `rolled_back`."),
        Param::str("after").doc("The time a fresh connection has to come in."),
        Param::bool("fails").doc("With `rolled_back`: fail, for nothing else takes care of the failure."),
    ]),
    action("meta", "Things to do between tasks", &[
        Param::str("_raw_params")
            .required()
            .choices(&["clear_facts", "clear_host_errors", "end_batch", "end_host", "end_play", "end_role", "flush_handlers", "noop", "refresh_inventory", "reset_connection"])
            .doc("What."),
    ])
    .free_form(),
    action("pause", "Wait for a time, or for a person", &[
        Param::int("seconds").doc("How long."),
        Param::int("minutes").doc("How long. Not together with `seconds`."),
        Param::str("prompt").doc("What to ask; the answer is in `user_input`."),
        Param::bool("echo").default_bool(true).doc("Show what is typed."),
    ]),
    action("raw", "Run a command over bare ssh, without the helper", &[
        Param::str("_raw_params").aliases(&["free_form"]).required().doc("The command, for the host's shell."),
        Param::path("executable").doc("Another shell."),
    ])
    .free_form()
    .check(Check::None)
    .world(),
    action("reboot", "Reboot a host and wait until it is back", &[
        Param::int("reboot_timeout").default_int(600).doc("Seconds to wait, twice: for the boot, and for the test."),
        Param::int("connect_timeout").doc("Seconds to wait for each connection."),
        Param::int("pre_reboot_delay").default_int(0).doc("Seconds before."),
        Param::int("post_reboot_delay").default_int(0).doc("Seconds after, before the test."),
        Param::str("test_command").default_str("whoami").doc("Command that shows that the host is back."),
        Param::str("msg").default_str("Reboot initiated by Ansible").doc("What users of the host are told."),
        Param::str("reboot_command").doc("Another command that reboots."),
        Param::str("boot_time_command").doc("Command that tells one boot from another."),
    ])
    .check(Check::Partial)
    .world(),
    action("set_fact", "Set variables of a host", &[
        Param::bool("cacheable").default_bool(false).doc("They are facts, too. Everything else given is a variable."),
    ])
    .any_params(),
    action("set_stats", "Set variables that are shown after the run", &[
        Param::new("data", Kind::Dict).required().doc("The variables."),
        Param::bool("per_host").default_bool(false).doc("For each host by itself."),
        Param::bool("aggregate").default_bool(true).doc("Add to what is there."),
    ]),
    action("shutdown", "Shut a host down", &[
        Param::int("delay").default_int(0).doc("Seconds before."),
        Param::str("msg").default_str("Shut down initiated by Ansible").doc("What users of the host are told."),
        Param::list("search_paths", Kind::Path)
            .default(Lit::List(&["/sbin", "/usr/sbin", "/usr/local/sbin"]))
            .doc("Where to look for the program."),
    ])
    .collection("community.general")
    .check(Check::Partial)
    .world(),
    action("template", "A file from a template", &[
        Param::path("src").required().doc("The template, on the controller."),
        Param::path("dest").required().doc("The file, on the host."),
        Param::bool("backup").default_bool(false).doc("Keep what was there."),
        Param::bool("force").default_bool(true).doc("Replace what is there."),
        Param::bool("follow").default_bool(false).doc("Write through symbolic links."),
        Param::str("validate").doc("Command that must accept the new file before it takes its place; `%s` is it."),
        Param::str("newline_sequence").default_str("\\n").choices(&["\\n", "\\r", "\\r\\n"]).doc("How lines end."),
        Param::str("block_start_string").default_str("{%").doc("How a statement begins."),
        Param::str("block_end_string").default_str("%}").doc("How a statement ends."),
        Param::str("variable_start_string").default_str("{{").doc("How an expression begins."),
        Param::str("variable_end_string").default_str("}}").doc("How an expression ends."),
        Param::str("comment_start_string").doc("How a comment begins."),
        Param::str("comment_end_string").doc("How a comment ends."),
        Param::bool("trim_blocks").default_bool(true).doc("No newline after a statement."),
        Param::bool("lstrip_blocks").default_bool(false).doc("No white space before a statement."),
        Param::str("output_encoding").default_str("utf-8").doc("Encoding of the file."),
    ])
    .files()
    .diff(),
    action("validate_argument_spec", "Check variables as a specification says", &[
        Param::new("argument_spec", Kind::Dict).required().doc("The specification."),
        Param::new("provided_arguments", Kind::Dict).doc("Values that win over variables."),
    ]),
    action("wait_for_connection", "Wait until a host can be reached", &[
        Param::int("timeout").default_int(600).doc("Seconds to wait."),
        Param::int("delay").default_int(0).doc("Seconds before the first try."),
        Param::int("sleep").default_int(1).doc("Seconds between tries."),
        Param::int("connect_timeout").default_int(5).doc("Seconds for each try."),
    ])
    .world(),
];
