#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for Quorate's etcd_info (see module_utils/quorate_etcd.py). Changes nothing, never fails."""
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.quorate_etcd import TLS, observe, summary

module = AnsibleModule(dict(TLS, members={'type': 'dict', 'required': True}), supports_check_mode=True)
module.exit_json(changed=False, **summary(observe(module.params, module.params['members']),
                                          module.params['members']))
