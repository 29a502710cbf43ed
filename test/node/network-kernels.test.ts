// The same paths on hosts that are set up differently: with and without br_netfilter, with strict reverse path filters.
import assert from 'node:assert/strict';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';

const HOSTS: [name: string, sysctls: string[]][] = [
  ['bridged frames that pass no packet rules', ['net.bridge.bridge-nf-call-iptables=0']],
  ['strict reverse path filters', ['net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.default.rp_filter=1']],
  ['loose reverse path filters', ['net.ipv4.conf.all.rp_filter=2', 'net.ipv4.conf.default.rp_filter=2']],
  ['forwarding on already', ['net.ipv4.ip_forward=1']],
];

describe('networks on a host with', function () {
  this.timeout(60_000);
  before(function () {
    requireRoot(this);
  });

  for (const [name, sysctls] of HOSTS) {
    it(name, async () => {
      await using lab = await NetworkLab.open();
      const [machine, far, outside] = [await lab.machine(), await lab.machine(), await lab.machine()];
      for (const host of [machine, far]) await host.run('sysctl', '-qw', ...sysctls);
      const [networks, farNetworks] = [await machine.networks(), await far.networks()];
      const web = await joinContainer(networks, { publish: [publish(8080, 80)] });
      const neighbour = await joinContainer(networks);
      const task = await joinContainer(farNetworks);
      await lab.serve(web.sandboxPath, 80, 'web');
      await lab.serve(task.sandboxPath, 80, 'far');
      await lab.serve(outside.namespace, 80, 'outside');
      await farNetworks.applyIngress(1, [
        { protocol: 'tcp', publishedPort: 9090, local: [{ taskId: 't', address: task.address, port: 80 }], remote: [] },
      ]);
      await networks.applyIngress(1, [
        { protocol: 'tcp', publishedPort: 9090, local: [], remote: [{ address: far.address, port: 9090 }] },
      ]);
      assert.match(await lab.ask(neighbour.sandboxPath, web.address, 80), /^web /);
      assert.match(await lab.ask(neighbour.sandboxPath, outside.address, 80), /^outside /);
      for (const [from, address] of [
        [outside.namespace, machine.address],
        [machine.namespace, '127.0.0.1'],
        [machine.namespace, machine.address],
        [neighbour.sandboxPath, machine.address],
        [neighbour.sandboxPath, web.gateway],
        [web.sandboxPath, machine.address],
      ] as const) {
        assert.match(await lab.ask(from, address, 8080), /^web /, `8080 at ${address} from ${from}`);
        assert.match(await lab.ask(from, address, 9090), /^far /, `9090 at ${address} from ${from}`);
      }
      await networks.destroy();
      for (const sysctl of sysctls) {
        const [key = '', value] = sysctl.split('=');
        assert.equal((await machine.run('sysctl', '-n', key)).trim(), value);
      }
    });
  }
});
