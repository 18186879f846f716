# What the bridge asks ansible-core on the controller: one payload for a module, with a place for its arguments.
# In: JSON on standard input. Out: the payload on standard output. Exit status 3: what is installed cannot do it; 4: it has
# no such module.
import json
import sys

asked = json.load(sys.stdin)
args = {"quorate": asked["mark"]}
try:
    from ansible import release
    from ansible.executor.module_common import modify_module
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins import loader
    from ansible.template import Templar
except ImportError as problem:
    print(problem, file=sys.stderr)
    sys.exit(3)

if hasattr(loader, "init_plugin_loader"):
    loader.init_plugin_loader(asked["collections"])
for folder in asked["module_utils"]:
    loader.module_utils_loader.add_directory(folder)
name, path = asked["name"], asked["path"]
if not path:
    found = loader.module_loader.find_plugin_with_context(name)
    path = found.plugin_resolved_path if found.resolved else None
    if not path or not path.endswith(".py"):
        sys.exit(4)
    name = getattr(found, "resolved_fqcn", None) or name
    action = loader.action_loader.find_plugin_with_context(name)
    if action.resolved:
        print("a plug-in on the controller does its work (" + str(action.resolved_fqcn) + ")", file=sys.stderr)
        sys.exit(3)
values = {"ansible_python_interpreter": "/usr/bin/python3"}
templar = Templar(loader=DataLoader(), variables=values)
built = modify_module(
    module_name=name,
    module_path=path,
    module_args=args,
    templar=templar,
    task_vars=values,
    module_compression="ZIP_DEFLATED",
    environment={},
)
# a tuple before ansible-core 2.19
data = built[0] if isinstance(built, tuple) else built.b_module_data
text = data.decode("utf-8")
given = repr(json.dumps({"ANSIBLE_MODULE_ARGS": args}))
if text.count(given) != 1:
    print("the payload of ansible-core " + release.__version__ + " has another form", file=sys.stderr)
    sys.exit(3)
sys.stdout.write(release.__version__ + "\n" + text.replace(given, asked["place"]))
