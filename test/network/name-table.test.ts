import assert from 'node:assert/strict';
import { seededRandom } from '../../base/random.ts';
import type { NameRecord } from '../../runtime/network/contract.ts';
import { NameTable } from '../../runtime/network/name-table.ts';
import { type NameChange, Names, namesOfEndpoint } from '../../runtime/network/names.ts';

const record = (name: string, ...addresses: string[]): NameRecord => ({
  name,
  addresses,
  reverse: true,
  ttlSeconds: 0,
});
const addressesOf = (table: NameTable, name: string): string[] =>
  table.find(name).flatMap(({ addresses }) => addresses);

describe('names of a network', () => {
  it('are the union of what all owners put, without regard to case', () => {
    const table = new NameTable();
    table.set('a', 0, [record('Web', '10.0.0.2')]);
    table.set('b', 0, [record('web', '10.0.0.3')]);
    assert.deepEqual(addressesOf(table, 'WEB'), ['10.0.0.2', '10.0.0.3']);
    table.drop('a');
    assert.deepEqual(addressesOf(table, 'web'), ['10.0.0.3']);
    assert.deepEqual(table.reverse('10.0.0.2'), []);
  });

  it('never go back to an older index', () => {
    const table = new NameTable();
    assert.equal(table.set('swarm', 7, [record('web', '10.0.0.2')]), true);
    assert.equal(table.set('swarm', 6, []), false);
    assert.equal(table.change('swarm', 6, { put: [], removed: ['web'] }), false);
    assert.deepEqual(addressesOf(table, 'web'), ['10.0.0.2']);
    assert.equal(table.change('swarm', 7, { put: [record('db', '10.0.0.4')], removed: ['WEB'] }), true);
    assert.deepEqual(addressesOf(table, 'web'), []);
    assert.deepEqual(addressesOf(table, 'db'), ['10.0.0.4']);
  });

  it('keeps a backward name while another owner stands for it', () => {
    const table = new NameTable();
    table.set('a', 0, [record('web', '10.0.0.2')]);
    table.set('b', 0, [record('web', '10.0.0.2')]);
    table.drop('b');
    assert.deepEqual(table.reverse('10.0.0.2'), ['web']);
    table.set('a', 1, [record('web', '10.0.0.9')]);
    assert.deepEqual([table.reverse('10.0.0.2'), table.reverse('10.0.0.9')], [[], ['web']]);
  });

  it('are alike wherever all changes were told, after any 500 of them', () => {
    const random = seededRandom(11);
    const copy = new Map<string, NameTable>();
    const names = new Names((change) => applyTo(copy, change));
    const pick = (count: number): number => Math.floor(random.fraction() * count);
    for (let step = 0; step < 500; step += 1) {
      const [networkId, owner, index] = [`n${pick(2)}`, `o${pick(3)}`, Math.max(0, step - pick(3))];
      const records = Array.from({ length: pick(4) }, () => record(`name${pick(5)}`, `10.0.0.${pick(9)}`));
      const kind = pick(5);
      if (kind === 0) names.dropNames(networkId, owner);
      else if (kind === 1) names.setNames(networkId, owner, index, records);
      else names.changeNames(networkId, owner, index, { put: records, removed: [`name${pick(5)}`] });
    }
    const later = new Map<string, NameTable>();
    for (const change of names.snapshot()) applyTo(later, change);
    for (const networkId of ['n0', 'n1']) {
      const wanted = names.namesOf(networkId).map(textOf).sort();
      assert.deepEqual(copy.get(networkId)?.all().map(textOf).sort() ?? [], wanted);
      assert.deepEqual(later.get(networkId)?.all().map(textOf).sort() ?? [], wanted);
    }
  });

  it('of a container are its own, with the first one for its address', () => {
    const endpoint = { names: ['web', 'c0ffee'], address: '10.0.0.2', address6: 'fd00::2' };
    assert.deepEqual(
      namesOfEndpoint(endpoint as never).map(({ name, addresses, reverse }) => [name, addresses, reverse]),
      [
        ['web', ['10.0.0.2', 'fd00::2'], true],
        ['c0ffee', ['10.0.0.2', 'fd00::2'], false],
      ],
    );
  });
});

const textOf = ({ name, addresses }: NameRecord): string => `${name} ${addresses.join(' ')}`;

function applyTo(tables: Map<string, NameTable>, change: NameChange): void {
  const table = tables.get(change.networkId) ?? new NameTable();
  tables.set(change.networkId, table);
  if (change.do === 'drop') table.drop(change.owner);
  else if (change.do === 'set') table.set(change.owner, 0, change.records);
  else table.change(change.owner, 0, change);
}
