#!/usr/bin/env node
// The one entry of this checkout: `npm start`, `npm stop`, `npm test`, `npm run check|build|bench|compat|simulate|mutants` all come here.
// Needs nothing but Node: it installs system packages and dependencies, builds, and then hands over to compiled code.
// Safe to run twice at once: set-up happens under a lock that dies with its process.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const ROOT = path.dirname(fileURLToPath(import.meta.url));
const DIST = path.join(ROOT, 'dist');
const ROOMS = ['base', 'proto', 'manager', 'agent', 'runtime', 'api', 'cli', 'web', 'daemon', 'deploy', 'test'];
const NODE_MINIMUM = [20, 19];

/** Command → Debian package that brings it. `libc6-dev` also has the static C library. */
const PACKAGES_TO_RUN = { cc: 'gcc libc6-dev', nft: 'nftables', ip: 'iproute2', nsenter: 'util-linux' };
const PACKAGES_TO_TEST = {
  ...PACKAGES_TO_RUN,
  busybox: 'busybox-static',
  curl: 'curl',
  git: 'git',
  chromium: 'chromium',
  'docker-registry': 'docker-registry',
  dockerd: 'docker.io', // drives our helper as an OCI runtime
  runc: 'runc',
  crun: 'crun',
};

const COMMANDS = {
  async start(args) {
    requireRoot('npm start makes network namespaces and containers');
    await setUp(PACKAGES_TO_RUN);
    return runInstalled(['start', ...args]);
  },
  async stop(args) {
    requireRoot('npm stop removes network namespaces and containers');
    return stop(args);
  },
  async test(args) {
    await setUp(isRoot() ? PACKAGES_TO_TEST : {});
    return node(path.join(DIST, 'test/run.js'), ['all', ...args]);
  },
  async check(args) {
    await setUp({}, { build: !args.includes('--quick') });
    if (args.includes('--quick')) await withLock('build', buildTypeScript);
    return node(path.join(DIST, 'test/run.js'), ['check', ...args]);
  },
  async bench(args) {
    await setUp({});
    return node(path.join(DIST, 'test/bench/run.js'), args);
  },
  async histories(args) {
    requireRoot('npm run histories makes network namespaces');
    await setUp(PACKAGES_TO_RUN);
    return node(path.join(DIST, 'test/histories/run.js'), args);
  },
  async 'crash-cycles'(args) {
    await setUp({});
    return node(path.join(DIST, 'test/crash/run.js'), args);
  },
  async simulate(args) {
    await setUp({});
    return node(path.join(DIST, 'test/sim/run.js'), args);
  },
  async 'core-coverage'(args) {
    await setUp({});
    return node(path.join(DIST, 'test/support/core-coverage.js'), args);
  },
  async mutants(args) {
    await setUp({});
    return node(path.join(DIST, 'test/mutants/run.js'), args);
  },
  async compat(args) {
    requireRoot('npm run compat runs containers on two engines');
    await setUp(PACKAGES_TO_TEST);
    return node(path.join(DIST, 'test/compat/run.js'), args);
  },
  async build() {
    await setUp({});
    return 0;
  },
};

async function main() {
  requireNode();
  const [name = '', ...args] = process.argv.slice(2);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) stopWith(`usage: node shoal.js ${Object.keys(COMMANDS).join('|')} [options]`);
  process.exitCode = await command(args);
}

// ---- Requirements ----

function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = NODE_MINIMUM;
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return;
  stopWith(`Shoal needs Node ${NODE_MINIMUM.join('.')} or newer; this is ${process.versions.node}.`);
}

function isRoot() {
  return process.getuid?.() === 0;
}

function requireRoot(reason) {
  if (!isRoot()) stopWith(`${reason}, which needs root: run it again with sudo.`);
}

function stopWith(sentence) {
  console.error(sentence);
  process.exit(1);
}

// ---- Set-up ----

async function setUp(packages, { build = true } = {}) {
  await withLock('build', () => {
    installSystemPackages(packages);
    installDependencies();
    if (build) buildAll();
  });
}

/** One at a time in this checkout. The lock is an abstract socket, so the system frees it when its holder dies. */
async function withLock(name, work) {
  const address = `\0shoal-${name}-${createHash('sha256').update(ROOT).digest('hex').slice(0, 16)}`;
  const server = await acquire(address);
  try {
    return await work();
  } finally {
    server.close();
  }
}

async function acquire(address) {
  for (;;) {
    const server = net.createServer((socket) => socket.on('error', () => socket.destroy()));
    const taken = await new Promise((resolve, reject) => {
      server.once('listening', () => resolve(false));
      server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(true) : reject(error)));
      server.listen(address);
    });
    if (!taken) return server.unref();
    await holderGone(address);
  }
}

/** Resolves when the process that holds the lock closes it or dies. */
function holderGone(address) {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    socket.on('error', resolve);
    socket.on('close', resolve);
    socket.resume();
  });
}

function installSystemPackages(packages) {
  const missing = Object.entries(packages).filter(([command]) => !onPath(command));
  if (missing.length === 0) return;
  const names = missing.flatMap(([, names]) => names.split(' '));
  if (!isRoot() || !onPath('apt-get')) {
    stopWith(
      `Missing: ${missing.map(([command]) => command).join(', ')}. Install (Debian's names): ${names.join(' ')}`,
    );
  }
  step(`installing ${names.join(' ')}`, () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], { env });
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env });
  });
}

function onPath(command) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => folder !== '' && fs.existsSync(path.join(folder, command)));
}

function installDependencies() {
  const stamp = path.join(ROOT, 'node_modules/.shoal-lockfile-hash');
  const wanted = hashFiles([path.join(ROOT, 'package-lock.json')]);
  if (readOr(stamp, '') === wanted) return;
  step('installing dependencies', () => {
    const npm = process.env.npm_execpath;
    const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    if (npm) run(process.execPath, [npm, ...args]);
    else run('npm', args);
    fs.writeFileSync(stamp, wanted);
  });
}

// ---- Build ----

function buildAll() {
  const hash = sourceHash();
  const stamp = path.join(DIST, '.build-hash');
  if (readOr(stamp, '') === hash) return;
  step('building', () => {
    buildTypeScript();
    for (const room of ['web', 'daemon']) bundle(room);
    run(process.execPath, [path.join(DIST, 'runtime/native/build-cli.js'), path.join(DIST, 'native')]);
    fs.writeFileSync(stamp, hash);
  });
}

function buildTypeScript() {
  fs.mkdirSync(DIST, { recursive: true });
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc');
  for (const project of [ROOT, path.join(ROOT, 'web')]) run(process.execPath, [compiler, '-p', project]);
  removeStaleOutput();
}

/** The dashboard's pages for browsers; the daemon for a start that reads few files. */
function bundle(room) {
  const vite = path.join(ROOT, 'node_modules/vite/bin/vite.js');
  run(process.execPath, [vite, 'build', '--config', `${room}/vite.config.js`, '--logLevel', 'warn']);
}

/** The compiler leaves what it made from files that are gone: a deleted test would run for ever. */
function removeStaleOutput() {
  for (const room of ROOMS) {
    for (const file of walk(path.join(DIST, room))) {
      const source = path.relative(DIST, file).replace(/(\.d)?\.(js|ts)(\.map)?$/, '');
      const exists = ['.ts', '.tsx', '.js'].some((ending) => fs.existsSync(path.join(ROOT, source + ending)));
      if (!exists && /\.(js|d\.ts|map)$/.test(file)) fs.rmSync(file);
    }
  }
}

function sourceHash() {
  const files = ROOMS.flatMap((room) => walk(path.join(ROOT, room)));
  const own = ['package.json', 'package-lock.json', 'tsconfig.json', 'shoal.js'].map((name) => path.join(ROOT, name));
  return hashFiles([...files, ...own]);
}

// ---- Run ----

/**
 * Copies what runs into the state directory, so that nothing done to the checkout disturbs running nodes, and runs
 * the copy. The copy is named after its content: nodes of an older one keep theirs.
 */
function runInstalled(args) {
  const state = stateDirectory(args);
  const program = path.join(state, 'program', sourceHash().slice(0, 12));
  if (!fs.existsSync(program)) step('copying the program', () => installProgram(program));
  return node(path.join(program, 'dist/deploy/main.js'), [...args, '--program', program, '--state-directory', state]);
}

function installProgram(target) {
  fs.mkdirSync(path.dirname(target), { recursive: true, mode: 0o710 });
  const temporary = fs.mkdtempSync(`${target}.`);
  fs.chmodSync(temporary, 0o755);
  const skipped = new Set(['test', 'tsconfig.tsbuildinfo', '.build-hash'].map((name) => path.join(DIST, name)));
  copy(DIST, path.join(temporary, 'dist'), (from) => !skipped.has(from) && !/\.(map|d\.ts)$/.test(from));
  for (const name of ['package.json', 'proto', 'runtime/native', 'deploy']) {
    copy(path.join(ROOT, name), path.join(temporary, name), (from) => !from.endsWith('.ts'));
  }
  for (const name of productionPackages()) copy(path.join(ROOT, name), path.join(temporary, name), () => true);
  fs.renameSync(temporary, target);
}

function copy(from, to, filter) {
  if (!fs.existsSync(from)) return;
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.cpSync(from, to, { recursive: true, dereference: true, filter });
}

/** Folders of the dependencies that running needs, by the lockfile. */
function productionPackages() {
  const lock = JSON.parse(fs.readFileSync(path.join(ROOT, 'package-lock.json'), 'utf8'));
  const entries = Object.entries(lock.packages);
  return entries.filter(([name, entry]) => name !== '' && !entry.dev && !entry.devOptional).map(([name]) => name);
}

/** Ends the nodes with the program they were started from; without one there is nothing to stop. */
function stop(args) {
  const state = stateDirectory(args);
  const programs = path.join(state, 'program');
  const newest = (fs.existsSync(programs) ? fs.readdirSync(programs) : [])
    .map((name) => path.join(programs, name))
    .filter((folder) => fs.existsSync(path.join(folder, 'dist/deploy/main.js')))
    .sort((a, b) => fs.statSync(b).mtimeMs - fs.statSync(a).mtimeMs)[0];
  if (!newest) {
    console.log('Nothing to stop.');
    return 0;
  }
  const entry = path.join(newest, 'dist/deploy/main.js');
  return node(entry, ['stop', ...args, '--program', newest, '--state-directory', state]);
}

function stateDirectory(args) {
  const name = option(args, '--name') ?? 'shoal';
  if (!/^[a-z][a-z0-9-]{0,9}$/.test(name))
    stopWith(`--name '${name}' must be 1 to 10 of a-z, 0-9 and -, a letter first.`);
  return path.resolve(option(args, '--state-dir') ?? `/var/lib/${name}-cluster`);
}

function option(args, name) {
  const index = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
  if (index < 0) return undefined;
  return args[index].includes('=') ? args[index].slice(name.length + 1) : args[index + 1];
}

/** Runs compiled code with this terminal as its own; the result is its exit code. */
function node(file, args) {
  const ignore = () => undefined; // Ctrl-C reaches the child too, which decides what it means
  process.on('SIGINT', ignore);
  const result = spawnSync(process.execPath, [file, ...args], { stdio: 'inherit', cwd: ROOT });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 << 20, ...options });
  if (result.error) throw result.error;
  if (result.status === 0) return;
  console.error(`${result.stdout}${result.stderr}`.trimEnd());
  stopWith(`failed: ${path.basename(command)} ${args.slice(0, 3).join(' ')} (exit ${result.status})`);
}

// ---- Small helpers ----

function step(name, work) {
  const startMs = performance.now();
  if (process.stdout.isTTY) process.stdout.write(`◌ ${name} …`);
  work();
  const line = `✔ ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`;
  process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`);
}

function walk(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    return entry.isDirectory() ? walk(full) : entry.isFile() ? [full] : [];
  });
}

function hashFiles(files) {
  const hash = createHash('sha256');
  for (const file of [...files].sort()) {
    hash.update(`${path.relative(ROOT, file)}\0`).update(createHash('sha256').update(fs.readFileSync(file)).digest());
  }
  return hash.digest('hex');
}

function readOr(file, fallback) {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : fallback;
}

await main();
