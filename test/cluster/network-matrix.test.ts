// Who reaches whom, by address and by name, between containers of every driver on three nodes. Every container serves
// HTTP and says who it is: an address that leads to somebody else does not count.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { type TaskJson, TestCluster } from '../support/cluster.ts';
import { insideOf } from '../support/inside.ts';
import { requireRoot } from '../support/requirements.ts';

const NODES = [1, 2, 3] as const;
/** `shared` is in the place of `own`, and serves nothing itself. */
const ASKING = ['bridge', 'own', 'shared', 'back', 'task', 'inner', 'host', 'none', 'lan'] as const;
const ASKED = ['bridge', 'own', 'back', 'task', 'inner', 'host', 'lan'] as const;

/**
 * What is there on the same node, and on another one: `a` by address, `n` by name. A container of a network between nodes
 * is on its node's bridge, too, by which it leads outside. By macvlan nobody reaches the own node.
 */
const EXPECTED = `
          bridge  own     back    task    inner   host    lan
bridge    a  .    .  .    .  .    .  .    .  .    a  a    .  a
own       .  .    an .    .  .    .  .    .  .    a  a    .  a
shared    .  .    an .    .  .    .  .    .  .    a  a    .  a
back      a  .    .  .    an an   an an   .  .    a  a    .  a
task      a  .    .  .    an an   an an   .  .    a  a    .  a
inner     .  .    .  .    .  .    .  .    an .    .  .    .  .
host      a  .    a  .    .  .    .  .    a  .    a  a    .  a
none      .  .    .  .    .  .    .  .    .  .    .  .    .  .
lan       .  .    .  .    .  .    .  .    .  .    .  a    an a
`;

type Kind = (typeof ASKING)[number];

interface Place {
  readonly kind: Kind;
  readonly node: number;
  readonly pid: number;
  readonly address: string;
  readonly names: readonly string[];
}

describe('containers of every driver on three nodes', function () {
  this.timeout(180_000);
  const cluster = new TestCluster(`t${randomBytes(2).toString('hex')}`);
  const places: Place[] = [];

  const runOn = async (node: number, kind: Kind, network: string, ...more: string[]): Promise<void> => {
    const command = kind === 'shared' ? ['box', '/busybox', 'sleep', '600'] : ['shoal-demo:v1'];
    const name = `${kind}${node}`;
    const words = ['--name', name, '-e', `TASK=${kind}`, '-e', `NODE=${node}`, '--network', network, ...more];
    await cluster.docker(node, 'run', '-d', '--stop-timeout', '1', ...words, ...command);
    const facts = '{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
    const [pid, own = ''] = (await cluster.docker(node, 'inspect', '-f', facts, name)).split(' ');
    const address = kind === 'host' ? cluster.address(node) : own;
    places.push({ kind, node, pid: Number(pid), address, names: [name] });
  };

  before(async function () {
    requireRoot(this);
    await cluster.start();
    await cluster.docker(1, 'network', 'create', '-d', 'overlay', '--attachable', 'back');
    const { status, body } = await cluster.api(1, 'POST', '/services/create', {
      Name: 'task',
      TaskTemplate: {
        ContainerSpec: { Image: 'shoal-demo:v1', StopGracePeriod: 1e9, Env: ['TASK=task', 'NODE={{.Node.Hostname}}'] },
        Networks: [{ Target: 'back' }],
      },
      Mode: { Global: {} },
    });
    assert.equal(status, 201, body);
    const image = execFileSync('tar', ['-C', '/usr/bin', '-c', 'busybox'], { maxBuffer: 16e6 });
    const gateway = cluster.inNode(1, 'sh', '-c', "ip route show default | sed 's/.*via \\([0-9.]*\\).*/\\1/'").trim();
    const prefix = gateway.replace(/\.\d+$/, '');
    await Promise.all(
      NODES.map(async (node) => {
        execFileSync('docker', ['-H', `unix://${cluster.socket(node)}`, 'import', '-', 'box'], { input: image });
        const lan = [
          '--subnet',
          `${prefix}.0/24`,
          '--gateway',
          gateway,
          '--ip-range',
          `${prefix}.${32 * node + 64}/28`,
        ];
        await cluster.docker(node, 'network', 'create', 'own');
        await cluster.docker(node, 'network', 'create', '--internal', 'inner');
        await cluster.docker(node, 'network', 'create', '-d', 'macvlan', '-o', 'parent=eth0', ...lan, 'lan');
        for (const kind of ['bridge', 'own', 'back', 'inner', 'host', 'none', 'lan'] as const) {
          await runOn(node, kind, kind);
        }
        await runOn(node, 'shared', `container:own${node}`);
      }),
    );
    const nodes = await cluster.json<{ ID: string; Description: { Hostname: string } }[]>(1, '/nodes');
    for (const task of await cluster.running(1, 'task', 3)) {
      const hostname = nodes.find(({ ID }) => ID === task.NodeID)?.Description.Hostname ?? '';
      const attached = task as TaskJson & { NetworksAttachments: { Addresses: string[] }[] };
      const address = attached.NetworksAttachments[0]?.Addresses[0]?.replace(/\/.*/, '') ?? '';
      const pid = task.Status.ContainerStatus?.PID ?? 0;
      places.push({ kind: 'task', node: Number(hostname.at(-1)), pid, address, names: ['tasks.task', 'task'] });
    }
  });

  after(async () => {
    await cluster.stop();
  });

  /** Of all others: what one finds out. */
  const look = async (from: Place): Promise<Map<Place, string>> => {
    const others = places.filter(({ kind }) => (ASKED as readonly string[]).includes(kind));
    const addresses = others.map(({ address }) => address);
    const names = [...new Set(others.flatMap((each) => each.names))];
    const seen = await insideOf<{ answers: string[]; found: Record<string, unknown> }>(
      from.pid,
      `const names = ${JSON.stringify(names)};
       const found = await Promise.all(names.map(resolve));
       return {
         answers: await Promise.all(${JSON.stringify(addresses)}.map(ask)),
         found: Object.fromEntries(names.map((name, at) => [name, found[at]])),
       }`,
    );
    const cells = others.map((to, at): [Place, string] => {
      const isIt = new RegExp(`task=${to.kind} node=\\w*${to.node} `).test(`${seen.answers[at]} `);
      const isNamed = to.names.some((name) => {
        const found = seen.found[name];
        // A service's own name is its virtual address, which is asked for elsewhere.
        return Array.isArray(found) && found.includes(to.address);
      });
      return [to, `${isIt ? 'a' : ''}${isNamed ? 'n' : ''}` || '.'];
    });
    return new Map(cells);
  };

  it('reach each other by address and by name as they shall', async () => {
    const seen = new Map<Place, Map<Place, string>>();
    // One after the other on each node: several hundred questions at once would time out for being too many.
    await Promise.all(
      NODES.map(async (node) => {
        for (const from of places.filter((place) => place.node === node)) seen.set(from, await look(from));
      }),
    );
    const cell = (asking: Kind, asked: Kind, sameNode: boolean): string => {
      const texts = [...seen].flatMap(([from, all]) =>
        [...all].flatMap(([to, text]) =>
          from.kind === asking && to.kind === asked && (from.node === to.node) === sameNode ? [text] : [],
        ),
      );
      const different = [...new Set(texts)];
      return different.length === 1 ? (different[0] ?? '') : `?${different.join('|')}`;
    };
    const rows = ASKING.map((asking) => {
      const cells = ASKED.map(
        (asked) => `${cell(asking, asked, true).padEnd(2)} ${cell(asking, asked, false).padEnd(2)}`,
      );
      return `${asking.padEnd(10)}${cells.join('   ')}`.trimEnd();
    });
    const matrix = `\n${''.padEnd(10)}${ASKED.map((asked) => asked.padEnd(8)).join('')}`.trimEnd();
    const text = `${[matrix, ...rows].join('\n')}\n`;
    console.log(text.replaceAll('\n', '\n      '));
    assert.equal(text, EXPECTED);
  });
});
