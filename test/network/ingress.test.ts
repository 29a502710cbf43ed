import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../base/manual-clock.ts';
import { parseAddress } from '../../runtime/network/addresses.ts';
import type { IngressPort } from '../../runtime/network/contract.ts';
import {
  ingressRules,
  loadIngress,
  RemoteTargets,
  saveIngress,
  staleDatagrams,
} from '../../runtime/network/ingress.ts';

const service = (
  local: readonly string[],
  remote: readonly string[],
  protocol: 'tcp' | 'udp' = 'tcp',
): IngressPort => ({
  protocol,
  publishedPort: 8080,
  local: local.map((address) => ({ taskId: 't', address, port: 80 })),
  remote: remote.map((address) => ({ address, port: 8080 })),
});

describe('ingress rules', () => {
  it('prefer own tasks to other nodes', () => {
    const both = ingressRules([service(['172.17.0.3', '172.17.0.2'], ['192.0.2.1'])]).get('tcp/8080');
    assert.equal(both?.remote, false);
    assert.deepEqual(both.targets, [
      { address: parseAddress('172.17.0.2'), port: 80 },
      { address: parseAddress('172.17.0.3'), port: 80 },
    ]);
    const far = ingressRules([service([], ['192.0.2.1'])]).get('tcp/8080');
    assert.equal(far?.remote, true);
    assert.deepEqual(far.targets, [{ address: parseAddress('192.0.2.1'), port: 8080 }]);
  });

  it('choose by the client where its service keeps clients, here and on other nodes', () => {
    for (const port of [service(['172.17.0.3'], []), service([], ['192.0.2.1'])]) {
      assert.equal(ingressRules([{ ...port, affinity: 'client-address' }]).get('tcp/8080')?.byClient, true);
      assert.equal(ingressRules([port]).get('tcp/8080')?.byClient, undefined);
    }
  });

  it('refuse what is no address', () => {
    assert.throws(() => ingressRules([service(['web'], [])]), { code: 'invalid' });
  });

  it('make the kernel forget datagrams to targets that left, and only those', () => {
    const from = ingressRules([service(['172.17.0.2', '172.17.0.3'], [], 'udp')]);
    const to = ingressRules([service(['172.17.0.3'], [], 'udp')]);
    assert.deepEqual(staleDatagrams(from, to), [
      { protocol: 'udp', askedPort: 8080, serverAddress: parseAddress('172.17.0.2'), serverPort: 80 },
    ]);
    assert.deepEqual(staleDatagrams(to, to), []);
    const tcp = ingressRules([service(['172.17.0.2'], [])]);
    assert.deepEqual(staleDatagrams(tcp, new Map()), []);
  });

  it('make the kernel forget datagrams that came before there was a target', () => {
    const none = ingressRules([service([], [], 'udp')]);
    const some = ingressRules([service(['172.17.0.3'], [], 'udp')]);
    const all = [{ protocol: 'udp', askedPort: 8080 }];
    assert.deepEqual(staleDatagrams(none, some), all);
    assert.deepEqual(staleDatagrams(new Map(), some), all);
  });

  it('know a target on another node for a while after it left', () => {
    const clock = new ManualClock();
    const remote = new RemoteTargets(clock);
    const targets = (ports: readonly IngressPort[]): string[] => [...remote.next(ingressRules(ports)).keys()].sort();
    const [one, two] = [service([], ['192.0.2.1']), service([], ['192.0.2.2'])];
    assert.deepEqual(targets([one]), ['tcp/3221225985/8080']);
    clock.advance(60_000);
    assert.deepEqual(targets([one]), ['tcp/3221225985/8080']);
    assert.deepEqual(targets([two]), ['tcp/3221225985/8080', 'tcp/3221225986/8080']);
    clock.advance(60_000);
    assert.deepEqual(targets([two]), ['tcp/3221225986/8080']);
  });

  it('are read again as they were written', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'ingress-'));
    const path = join(directory, 'ingress.json');
    try {
      assert.deepEqual(await loadIngress(path), []);
      const ports: IngressPort[] = [
        service(['172.17.0.2'], ['192.0.2.1'], 'udp'),
        { ...service(['172.17.0.2'], []), affinity: 'client-address' },
      ];
      await saveIngress(path, ports);
      assert.deepEqual(await loadIngress(path), ports);
      await writeFile(path, '{"ports":[{"protocol":"icmp"}]}');
      await assert.rejects(loadIngress(path), { code: 'invalid', message: /ports\[0\]\.protocol/ });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
