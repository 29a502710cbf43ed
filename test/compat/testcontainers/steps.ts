// testcontainers for Node, as tests of other programs use it, through its usual scenarios on one engine. A program of its
// own: it reaches published ports as localhost, so it runs in the engine's network. One line of JSON for each step.
//   steps.js FOLDER            the steps; FOLDER is what testcontainers is installed in
//   steps.js FOLDER abandon    starts things and ends without a word to them: ryuk has to clear up
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { tarOf } from '../tar-of.ts';
import { type Generic, type Started, type Testcontainers, testcontainersIn } from './library.ts';

type Step = readonly [name: string, work: () => Promise<unknown>];

const [, , folder = '', mode = 'steps'] = process.argv;
const library = testcontainersIn(folder);
const { GenericContainer, Network, DockerComposeEnvironment, Wait } = library;
const PORT = 8080;
const STEP_MS = 60_000;
const HTTPD = ['sh', '-c', 'mkdir -p /www && echo served by $(hostname) > /www/index.html && httpd -f -p 8080 -h /www'];
const here = mkdtempSync(join(tmpdir(), 'steps-'));

async function runAll(): Promise<void> {
  const steps = [...waiting(), ...insides(), ...copying(), ...places(), ...lives(), ...larger()];
  for (const [name, work] of steps) process.stdout.write(`${JSON.stringify([name, await outcome(work)])}\n`);
  process.stdout.write(`${JSON.stringify(['the end', 'reached'])}\n`);
}

/** testcontainers leaves the failure of a build to nobody: it comes as one that was not handled. */
async function outcome(work: () => Promise<unknown>): Promise<string> {
  let reject: (reason: unknown) => void = () => undefined;
  const elsewhere = new Promise<never>((_, refuse) => {
    reject = refuse;
  });
  const late = setTimeout(() => reject(new Error('nothing came of it')), STEP_MS);
  process.once('unhandledRejection', reject);
  try {
    return JSON.stringify(await Promise.race([work(), elsewhere])) ?? 'nothing';
  } catch (error) {
    if (error instanceof ReferenceError) throw error; // ours, not an engine's
    return `fails: ${String(error)}`;
  } finally {
    clearTimeout(late);
    process.off('unhandledRejection', reject);
  }
}

const box = (...script: readonly string[]): Generic =>
  new GenericContainer('bb').withCommand(script.length === 0 ? ['sleep', '1000'] : ['sh', '-c', ...script]);
const web = (): Generic => new GenericContainer('bb').withCommand(HTTPD).withHostname('web').withExposedPorts(PORT);

/** The busybox of `bb` finds no names: it is linked statically, and its resolver wants libraries. */
const asking = (): Generic => new GenericContainer('compat/curl:1').withCommand(['sleep', '1000']);
const curl = (server: string): string => `curl -sS --max-time 5 http://${server}/`;

/** Started, looked at, stopped. */
async function during<T>(container: Generic, look: (started: Started) => Promise<T> | T): Promise<T> {
  const started = await container.start();
  try {
    return await look(started);
  } finally {
    await started.stop();
  }
}

const said = (container: Generic, script: string): Promise<string> =>
  during(container, async (started) => (await started.exec(['sh', '-c', script])).output.trim());

async function page(started: Started, port: number | string = PORT): Promise<string> {
  const answer = await fetch(`http://${started.getHost()}:${started.getMappedPort(port)}/`);
  return (await answer.text()).trim();
}

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  let all = '';
  for await (const chunk of stream) all += String(chunk);
  return all;
}

function waiting(): Step[] {
  const check = (test: string) => ({ test: ['CMD-SHELL', test], interval: 200, timeout: 2_000, retries: 2 });
  return [
    ['wait for ports', () => during(web(), (started) => page(started))],
    ['wait for http', () => during(web().withWaitStrategy(Wait.forHttp('/', PORT).forStatusCode(200)), page)],
    [
      'wait for http, ended before',
      () =>
        box('sleep 2; exit 3')
          .withExposedPorts(PORT)
          .withWaitStrategy(Wait.forHttp('/', PORT, { abortOnContainerExit: true }).withStartupTimeout(20_000))
          .start(),
    ],
    [
      'wait for a line of the log',
      () =>
        during(
          box('for n in 1 2 3; do echo ready $n; done; echo err ready >&2; sleep 1000').withWaitStrategy(
            Wait.forLogMessage(/ready/, 4),
          ),
          () => 'came',
        ),
    ],
    [
      'wait for a line that does not come',
      () => box('echo other').withWaitStrategy(Wait.forLogMessage('ready').withStartupTimeout(20_000)).start(),
    ],
    [
      'wait for health',
      () =>
        during(
          box('sleep 0.5; touch /tmp/well; sleep 1000')
            .withHealthCheck({ ...check('test -e /tmp/well'), retries: 20 })
            .withWaitStrategy(Wait.forHealthCheck()),
          (started) => started.exec('ls /tmp'),
        ),
    ],
    [
      'wait for health that fails',
      () => box().withHealthCheck(check('exit 1')).withWaitStrategy(Wait.forHealthCheck()).start(),
    ],
    [
      'wait for a command',
      () =>
        during(
          box('sleep 0.3; touch /tmp/done; sleep 1000').withWaitStrategy(Wait.forSuccessfulCommand('stat /tmp/done')),
          () => 'succeeded',
        ),
    ],
    ['wait for one that ends', () => during(box('exit 0').withWaitStrategy(Wait.forOneShotStartup()), () => 'ended')],
    ['wait for one that fails', () => box('exit 4').withWaitStrategy(Wait.forOneShotStartup()).start()],
    [
      'wait for all',
      () =>
        during(web().withWaitStrategy(Wait.forAll([Wait.forListeningPorts(), Wait.forHttp('/', PORT)])), (started) =>
          page(started),
        ),
    ],
    ['an image that is not there', () => new GenericContainer('127.0.0.1:1/nosuch:1').start()],
    ['a program that is not there', () => new GenericContainer('bb').withCommand(['nosuchprogram']).start()],
  ];
}

function insides(): Step[] {
  return [
    ['exec', () => during(box(), (started) => started.exec(['sh', '-c', 'echo out; exit 3']))],
    ['exec, standard error', () => during(box(), async (started) => (await started.exec('cat /nowhere')).stderr)],
    [
      'exec with options',
      () =>
        during(box(), (started) =>
          started.exec(['sh', '-c', 'echo $A; pwd; id -u'], { env: { A: '1' }, workingDir: '/tmp', user: '7' }),
        ),
    ],
    ['exec of nothing', () => during(box(), (started) => started.exec(['nosuchprogram']))],
    ['exec of much', () => during(box(), async (started) => (await started.exec('seq 100000')).stdout.length)],
    ['environment', () => said(box().withEnvironment({ A: '1', B: 'x y' }), 'echo $A $B')],
    ['user and folder', () => said(box().withUser('7:8').withWorkingDir('/tmp'), 'id -u; id -g; pwd')],
    ['entrypoint', () => said(box().withEntrypoint(['sh', '-c', 'sleep 1000']).withCommand([]), 'cat /proc/1/cmdline')],
    ['hostname and hosts', () => said(hosted(), 'hostname; grep other /etc/hosts')],
    ['temporary file systems', () => said(box().withTmpFs({ '/t': 'rw,noexec,size=1m' }), 'grep " /t " /proc/mounts')],
    ['limits', () => said(box().withUlimits({ nofile: { hard: 300, soft: 200 } }), 'ulimit -n; ulimit -Hn')],
    [
      'capabilities',
      () =>
        said(
          box()
            .withAddedCapabilities('NET_ADMIN')
            .withDroppedCapabilities('CHOWN')
            .withSecurityOpt('no-new-privileges'),
          'grep -E "CapEff|NoNewPrivs" /proc/self/status',
        ),
    ],
    ['shared memory', () => said(box().withSharedMemorySize(1 << 20), 'df -k /dev/shm | tail -n 1 | cut -c 1-30')],
    ['shared with the host', () => said(box().withIpcMode('host'), 'echo went')],
    ['quota', () => during(box().withResourcesQuota({ memory: 0.1, cpu: 0.5 }), () => 'went')],
    ['platform', () => during(box().withPlatform('linux/amd64'), () => 'went')],
    ['log driver', () => during(box('echo x; sleep 1000').withDefaultLogDriver(), () => 'went')],
    [
      'binds',
      () =>
        said(
          box().withBindMounts([{ source: file('bound', 'from host'), target: '/b', mode: 'ro' }]),
          '(cat /b; echo x > /b) 2>&1',
        ),
    ],
    ['labels', () => during(box().withLabels({ kind: 'box' }), (started) => labelsOf(started))],
  ];
}

const hosted = (): Generic =>
  box()
    .withHostname('named')
    .withExtraHosts([{ host: 'other', ipAddress: '192.0.2.9' }]);

function labelsOf(started: Started): unknown {
  const { kind, ...labels } = started.getLabels();
  return [kind, Object.keys(labels).sort()];
}

function file(name: string, content: string): string {
  const path = join(here, name);
  writeFileSync(path, content);
  return path;
}

function tree(): string {
  mkdirSync(join(here, 'tree/below'), { recursive: true });
  file('tree/one', '1');
  file('tree/below/two', '2');
  return join(here, 'tree');
}

async function unpacked(archive: NodeJS.ReadableStream): Promise<string[]> {
  const entries: string[] = [];
  const unpack = extract();
  archive.pipe(unpack);
  for await (const entry of unpack) entries.push(`${entry.header.name} ${entry.header.type} ${await text(entry)}`);
  return entries.sort();
}

function copying(): Step[] {
  const list = 'cd /copied && find . -type f -exec ls -ln {} + | awk "{print \\$1, \\$9}" | sort';
  const files = [{ source: file('one', 'first'), target: '/copied/one', mode: 0o600 }];
  const folders = () => [{ source: tree(), target: '/copied/tree' }];
  const contents = [{ content: 'made up', target: '/copied/two', mode: 0o755 }];
  const archive = () => Readable.from([Buffer.from(tarOf({ three: 'packed' }))]);
  return [
    ['copy files before the start', () => said(box().withCopyFilesToContainer(files), list)],
    ['copy folders before the start', () => said(box().withCopyDirectoriesToContainer(folders()), list)],
    [
      'copy contents before the start',
      () => said(box().withCopyContentToContainer(contents), `${list}; cat /copied/two`),
    ],
    [
      'copy an archive before the start',
      () => said(box().withCopyArchivesToContainer([{ tar: archive(), target: '/tmp' }]), 'cat /tmp/three'),
    ],
    [
      'copy an archive to nowhere',
      () =>
        box()
          .withCopyArchivesToContainer([{ tar: archive(), target: '/nowhere' }])
          .start(),
    ],
    [
      'copy into one that runs',
      () =>
        during(box(), async (started) => {
          await started.copyFilesToContainer(files);
          await started.copyDirectoriesToContainer(folders());
          await started.copyContentToContainer(contents);
          await started.copyArchiveToContainer(archive(), '/copied');
          return (await started.exec(['sh', '-c', list])).output;
        }),
    ],
    [
      'copy out',
      () =>
        during(box('mkdir /out; echo 1 > /out/a; ln -s a /out/b; sleep 1000'), async (started) => {
          await started.exec(['sh', '-c', 'until test -e /out/b; do sleep 0.1; done']);
          return await unpacked(await started.copyArchiveFromContainer('/out'));
        }),
    ],
    ['copy out of nothing', () => during(box(), (started) => started.copyArchiveFromContainer('/nowhere'))],
    [
      'copy out of a stopped one',
      async () => {
        const started = await box('echo left > /left; echo ready; sleep 1000')
          .withWaitStrategy(Wait.forLogMessage('ready'))
          .withAutoRemove(false)
          .start();
        const stopped = await started.stop({ remove: false });
        return await unpacked(await stopped.copyArchiveFromContainer('/left'));
      },
    ],
  ];
}

function places(): Step[] {
  return [
    ['ports', () => during(web(), (started) => started.getMappedPort(PORT) === started.getFirstMappedPort())],
    ['a fixed port', () => during(web().withExposedPorts({ container: PORT, host: 18_080 }), fixed)],
    ['a port of UDP', () => during(udp(), (started) => started.getMappedPort('5353/udp') > 0)],
    ['aliases', () => named(['one', 'two'], (container) => container.withNetworkAliases('one', 'two'))],
    ['a network without aliases', () => named(['steps-web'], (container) => container.withName('steps-web'))],
    ['the network of the host', () => during(box().withNetworkMode('host'), (started) => started.getNetworkNames())],
    ['no network', () => said(box().withNetworkMode('none'), 'ls /sys/class/net')],
    ['a network that is not there', () => box().withNetworkMode('nowhere').start()],
  ];
}

const udp = (): Generic => box().withExposedPorts('5353/udp').withWaitStrategy(Wait.forSuccessfulCommand('true'));

const fixed = async (started: Started): Promise<unknown> => [started.getMappedPort(PORT), await page(started)];

/** One asks the other by each name it has. */
async function named(names: readonly string[], place: (container: Generic) => Generic): Promise<unknown> {
  const network = await new Network().start();
  try {
    return await during(place(web().withNetwork(network)), (server) =>
      during(asking().withNetwork(network), async (asker) => {
        const hosts = [...names, server.getIpAddress(network.getName())];
        const pages = hosts.map(async (host) => (await asker.exec(curl(`${host}:${PORT}`))).output);
        const isIn = server.getNetworkNames().includes(network.getName());
        return [isIn, server.getNetworkId(network.getName()) === network.getId(), await Promise.all(pages)];
      }),
    );
  } finally {
    await network.stop();
  }
}

function lives(): Step[] {
  return [
    ['name', () => during(box().withName('steps-named'), (started) => started.getName())],
    ['a name that is taken', () => during(box().withName('steps-named'), () => box().withName('steps-named').start())],
    ['restart', () => during(web(), restarted)],
    [
      'logs',
      () =>
        during(box('echo out; echo err >&2'), async (started) => (await text(await started.logs())).split('\n').sort()),
    ],
    [
      'logs to a consumer',
      async () => {
        let consumed: Promise<string> | undefined;
        const consumer = (stream: NodeJS.ReadableStream): void => void (consumed = text(stream));
        await during(box('echo consumed').withLogConsumer(consumer), () => undefined);
        return await consumed;
      },
    ],
    ['reuse', reused],
    ['commit', committed],
    ['stop twice', () => during(box(), (started) => started.stop().then(() => 'stopped'))],
    ['stop by another', () => during(box(), async (started) => (await started.exec('kill 1')).exitCode)],
  ];
}

async function restarted(started: Started): Promise<unknown> {
  await started.exec(['sh', '-c', 'echo kept > /kept']);
  await started.restart();
  return [await page(started), (await started.exec('cat /kept')).output];
}

async function reused(): Promise<unknown> {
  const container = () => web().withLabels({ reuse: 'steps' }).withReuse();
  const [first, second] = [await container().start(), await container().start()];
  const same = first.getId() === second.getId();
  await first.stop({ remove: false });
  const third = await container().start();
  const again = [third.getId() === first.getId(), await page(third)];
  await third.stop();
  return [same, again];
}

async function committed(): Promise<unknown> {
  return await during(box(), async (started) => {
    await started.exec(['sh', '-c', 'echo kept > /kept']);
    await started.commit({ repo: 'steps', tag: '1', changes: ['ENV A=1'] });
    return await said(new GenericContainer('steps:1').withCommand(['sleep', '1000']), 'cat /kept; echo $A');
  });
}

const COMPOSE = `
version: '2.4'
services:
  web:
    image: bb
    hostname: web
    command: ['sh', '-c', 'mkdir -p /www && echo composed $$GREETING > /www/index.html && httpd -f -p 8080 -h /www']
    environment: { GREETING: '\${GREETING:-none}' }
    ports: ['8080']
  asker:
    image: compat/curl:1
    command: ['sleep', '1000']
    depends_on: [web]
`;

function larger(): Step[] {
  return [
    ['compose', composed],
    ['compose, some of it', () => composedOf(['web'])],
    [
      'build',
      async () =>
        said((await GenericContainer.fromDockerfile(dockerfile()).build()).withCommand(['sleep', '1000']), 'echo $A'),
    ],
  ];
}

function dockerfile(): string {
  mkdirSync(join(here, 'build'), { recursive: true });
  file('build/Dockerfile', 'FROM bb\nENV A=built\n');
  return join(here, 'build');
}

async function composed(): Promise<unknown> {
  file('compose.yml', COMPOSE);
  const compose = new DockerComposeEnvironment(here, 'compose.yml').withProjectName('steps');
  const environment = await compose.withEnvironment({ GREETING: 'hello' }).up();
  try {
    const { output } = await environment.getContainer('steps_asker_1').exec(curl(`web:${PORT}`));
    return [await page(environment.getContainer('steps_web_1')), output];
  } finally {
    await environment.down();
  }
}

async function composedOf(services: readonly string[]): Promise<unknown> {
  file('compose.yml', COMPOSE);
  const environment = await new DockerComposeEnvironment(here, 'compose.yml').withProjectName('steps').up(services);
  await environment.stop();
  await environment.down();
  return 'down';
}

async function abandon({ GenericContainer, Network }: Testcontainers): Promise<void> {
  const network = await new Network().start();
  const started = await new GenericContainer('bb').withCommand(['sleep', '1000']).withNetwork(network).start();
  process.stdout.write(JSON.stringify(started.getLabels()['org.testcontainers.session-id']));
}

setInterval(() => undefined, 60_000); // what testcontainers follows does not keep a process up
await (mode === 'abandon' ? abandon(library) : runAll());
process.exit(); // what testcontainers keeps open would hold the process
