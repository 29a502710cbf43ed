import assert from 'node:assert/strict';
import { Command } from 'commander';
import type { EngineClient } from '../../cli/client.ts';
import { addNetworkCommands } from '../../cli/commands/networks.ts';

const ESP = { means: 'esp', isThere: true, reason: 'the kernel has it; used between nodes that both do' };
const NOTHING = { differences: [], repaired: {}, encryption: [ESP], pairs: [], unreached: [], paths: [] };

async function doctor(report: object): Promise<{ text: string; code: number }> {
  const [lines, codes] = [[] as string[], [0]];
  const program = new Command();
  addNetworkCommands(program, () => ({
    engine: { json: () => Promise.resolve({ ...NOTHING, ...report }) } as unknown as EngineClient,
    print: (text) => void lines.push(text),
    warn: (text) => void lines.push(text),
    nowMs: () => 0,
    exitWith: (code) => void codes.push(code),
  }));
  await program.parseAsync(['network', 'doctor'], { from: 'user' });
  return { text: lines.join('\n'), code: codes.at(-1) ?? 0 };
}

describe('shoal network doctor', () => {
  it('says that all is well, and which means of encryption there are', async () => {
    const { text, code } = await doctor({});
    assert.match(text, /^Nothing had to be repaired\.\nENCRYPTION BY .*\nesp +yes +the kernel has it/);
    assert.match(text, /The kernel holds what it should\.$/);
    assert.equal(code, 0);
  });

  it('says by which means an encrypted network reaches each node, and why not by a better one', async () => {
    const reason = 'ESP is not used: no packet of ESP came from it, though some went to it (a firewall?)';
    const pairs = [
      { network: 'back', nodeId: 'n1', means: 'esp' },
      { network: 'back', nodeId: 'n2', means: 'tunnel', reason },
      { network: 'back', nodeId: 'n3', means: 'none', reason: 'said below' },
    ];
    const { text, code } = await doctor({ pairs });
    assert.match(text, /ENCRYPTED NETWORK +REACHES +BY/);
    assert.match(text, /back +n1 +esp/);
    assert.ok(text.split('\n').some((line) => /back +n2 +tunnel/.test(line) && line.includes(reason)));
    assert.doesNotMatch(text, /n3/);
    assert.equal(code, 0);
  });

  it('ends with 1 where a node is not reached or something differs, and with what was repaired', async () => {
    const unreached = [
      { network: 'back', nodeId: 'n3', reason: 'node n3 can encrypt by no means, this node by tunnel' },
    ];
    const alone = await doctor({ unreached });
    assert.match(alone.text, /DOES NOT REACH[^]*back +n3 +node n3 can encrypt by no means/);
    assert.equal(alone.code, 1);
    const differences = [{ cause: 'encryption', sentence: 'network back lacked 2 states of ESP and had 0 too many' }];
    const both = await doctor({ differences, repaired: { encryption: 3 } });
    assert.match(both.text, /^Repaired so far: 3 × encryption\.[^]*encryption +network back lacked 2 states/);
    assert.equal(both.code, 1);
  });
});
