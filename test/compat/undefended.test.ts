// That the builds of `npm run compat attacks` still can be made: each defence is where it is taken out.
import { strict as assert } from 'node:assert';
import { planted } from './undefended.ts';
import { UNDEFENDED } from './undefended-builds.ts';

describe('a build without a defence', () => {
  for (const { without, edits } of UNDEFENDED) {
    it(`can be made: without ${without}`, () => {
      for (const edit of edits) assert.doesNotThrow(() => planted(edit));
    });
  }
});
