# What the bridge asks ansible-core on the controller: one payload for a module, with a place for its arguments.
# In: JSON on standard input. Out: the payload on standard output. Exit status 3: what is installed cannot do it.
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
values = {"ansible_python_interpreter": "/usr/bin/python3"}
templar = Templar(loader=DataLoader(), variables=values)
built = modify_module(
    module_name=asked["name"],
    module_path=asked["path"],
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
