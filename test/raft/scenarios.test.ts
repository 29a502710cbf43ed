// Plays every story under test/scenarios: one per rule of the Raft paper and per known pit.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tell } from '../scenarios/story.ts';

const FOLDER = resolve(import.meta.dirname, '../../../test/scenarios');

describe('stories of consensus', () => {
  for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.story'))) {
    const text = readFileSync(join(FOLDER, file), 'utf8');
    const [title = file] = text.split('\n');
    it(title.replace('# ', ''), () => tell(text));
  }
});
