// The planted bugs of `npm run mutants` fit the code as it is. Whether they are caught is that command's business.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { applyTo, readMutants } from '../mutants/patch.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PITS = [1, 2, 3, 4, 5, 6, 7];

describe('planted bugs', () => {
  const mutants = readMutants();

  it('are at least forty, and three for every known pit', () => {
    assert.ok(mutants.length >= 40, `${mutants.length} mutants`);
    for (const number of PITS) {
      const count = mutants.filter(({ pit }) => pit === number).length;
      assert.ok(count >= 3, `pit ${number} has ${count}`);
    }
  });

  for (const mutant of mutants) {
    it(`has a place for ${mutant.name}`, () => {
      const source = readFileSync(join(ROOT, mutant.file), 'utf8');
      assert.notEqual(applyTo(source, mutant), source);
    });
  }
});
