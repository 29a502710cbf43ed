// Holds the house's rules that a tool can check: who may import whom, no cycles, and no clock, randomness, files or
// network in the deterministic rooms. The table is the one in ARCHITECTURE.md.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/**
 * Room → what it may import besides itself. The longest matching room owns a file. `types:` allows type imports only.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  proto: ['base'],
  runtime: ['base'],
  'runtime/native': ['base'],
  'runtime/log': ['base'],
  'runtime/volume': ['base', 'types:runtime'],
  'runtime/network': ['base', 'runtime/native'],
  'runtime/image': ['base', 'types:runtime'],
  'runtime/registry': ['base', 'runtime/image'],
  'runtime/container': [
    'base',
    'runtime/native',
    'runtime/log',
    'runtime/volume',
    'runtime/network',
    'runtime/image',
    'types:runtime',
  ],
  'runtime/build': ['base', 'runtime/container', 'runtime/image', 'runtime/registry'],
  'manager/raft': ['base', 'proto'],
  'manager/raft/core': ['base'],
  'manager/store': ['base', 'proto'],
  'manager/orchestrator': ['base', 'proto', 'manager/store'],
  'manager/scheduler': ['base', 'proto', 'manager/store'],
  'manager/allocator': ['base', 'proto', 'manager/store'],
  'manager/dispatcher': ['base', 'proto', 'manager/store'],
  'manager/ca': ['base', 'proto', 'manager/store'],
  'manager/control': ['base', 'proto', 'manager/store'],
  manager: ['base', 'proto'],
  agent: ['base', 'proto'],
  'agent/container': ['base', 'proto', 'agent', 'runtime'],
  api: ['base', 'proto', 'types:runtime', 'types:manager/control'],
  cli: ['base', 'api/types'],
  web: ['types:api/types'],
  daemon: ['base', 'proto', 'manager', 'agent', 'runtime', 'api'],
  deploy: [],
  test: ['*'],
};

/** May not reach for the machine: the same code runs under a simulated clock, disk and network. */
const DETERMINISTIC = [
  'manager/raft/core',
  'manager/store',
  'manager/orchestrator',
  'manager/scheduler',
  'manager/allocator',
  'runtime/build/plan',
];
const MACHINE =
  /\bDate\b|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\b|\bperformance\.now\b|['"]node:(?:fs|net|dgram|timers)/;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const rooms = Object.keys(MAY_IMPORT).sort((a, b) => b.length - a.length);
const sources = rooms.filter((room) => !room.includes('/')).flatMap((room) => list(join(ROOT, room)));
const imports = sources.flatMap(importsOf);

describe('the house', () => {
  it('imports only from left to right', () => {
    const broken = imports.filter((entry) => !allowed(entry)).map(({ from, to }) => `${from} → ${to}`);
    assert.deepEqual(broken, []);
  });

  it('has no import cycles', () => {
    assert.deepEqual(findCycle(imports.filter((entry) => !entry.typeOnly)), []);
  });

  it('keeps clock, randomness, files and network out of the deterministic rooms', () => {
    const files = sources.filter((file) => DETERMINISTIC.some((room) => file.startsWith(`${room}/`)));
    const broken = files.filter((file) => MACHINE.test(withoutComments(readFileSync(join(ROOT, file), 'utf8'))));
    assert.deepEqual(broken, []);
  });

  it('is imported by nobody from its tests', () => {
    const broken = imports.filter(({ from, to }) => to.startsWith('test/') && !from.startsWith('test/'));
    assert.deepEqual(broken, []);
  });
});

function allowed({ from, to, typeOnly }: Import): boolean {
  const [own, other] = [roomOf(from), roomOf(to)];
  if (own === other) return true;
  const may = MAY_IMPORT[own] ?? [];
  if (may.includes('*')) return true;
  if (within(other, own) && !own.startsWith('manager/raft')) return true; // a room's wiring may import its own parts
  if (own === 'manager/raft' && other === 'manager/raft/core') return true;
  if (within(own, other) && isContract(to)) return typeOnly;
  return may.some((entry) => {
    const [, types, room = ''] = /^(types:)?(.*)$/.exec(entry) ?? [];
    return to.startsWith(`${room}/`) && (!types || typeOnly);
  });
}

const isContract = (file: string): boolean => file.endsWith('contract.ts');
const within = (room: string, outer: string): boolean => room === outer || room.startsWith(`${outer}/`);

function roomOf(file: string): string {
  const room = rooms.find((candidate) => file.startsWith(`${candidate}/`));
  assert.ok(room, `${file} is in no room of the import table`);
  return room;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.tsx?$/.test(name) && !name.includes('node_modules'))
      .map((name) => relative(ROOT, join(folder, name)));
  } catch {
    return []; // a room that does not exist yet
  }
}

function importsOf(file: string): Import[] {
  const text = withoutComments(readFileSync(join(ROOT, file), 'utf8'));
  const found = text.matchAll(/^\s*(import|export)\s+(type\s+)?([^;'"]*?from\s+)?['"](\.[^'"]+)['"]/gm);
  return [...found].map(([, , type, names = '', path = '']) => ({
    from: file,
    to: normalize(join(dirname(file), path)),
    typeOnly: type !== undefined || onlyTypes(names),
  }));
}

/** `import { type A, type B } from` brings no code either. */
function onlyTypes(names: string): boolean {
  const inside = /^\{([^}]*)\}\s*from\s+$/.exec(names)?.[1];
  return (
    inside !== undefined && inside.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type '))
  );
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

function findCycle(edges: readonly Import[]): string[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const other of next.get(file) ?? []) {
      const cycle = visit(other, [...path, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of next.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
