import { strict as assert } from 'node:assert';
import { decodeStatus, encodeExec } from '../../runtime/native/messages.ts';
import { FRAME, FRAME_BYTES_MAX, FrameReader, FrameSplitter, FrameWriter } from '../../runtime/native/wire.ts';

const body = (frame: Buffer): Buffer => frame.subarray(5);

describe('frames of the native helper', () => {
  it('reads back what was written', () => {
    const frame = new FrameWriter(7)
      .u8(255)
      .u32(0xffff_fffe)
      .i32(-5)
      .u64(2n ** 40n)
      .string('hé')
      .strings(['', 'b'])
      .finish();
    const reader = new FrameReader(body(frame));
    assert.deepEqual(
      [reader.u8(), reader.u32(), reader.i32(), reader.u64(), reader.string(), reader.strings()],
      [255, 0xffff_fffe, -5, 2 ** 40, 'hé', ['', 'b']],
    );
    reader.finish();
    assert.equal(frame.readUInt32LE(0), frame.length - 4);
    assert.equal(frame[4], 7);
  });

  it('grows for long strings', () => {
    const text = 'x'.repeat(100_000);
    assert.equal(new FrameReader(body(new FrameWriter(1).string(text).finish())).string(), text);
  });

  it('refuses a NUL, which would end the string on the other side', () => {
    assert.throws(() => new FrameWriter(1).string('a\0b'), { code: 'invalid' });
  });

  it('refuses a request beyond the bound', () => {
    assert.throws(() => new FrameWriter(1).string('x'.repeat(FRAME_BYTES_MAX)).finish(), {
      code: 'invalid',
      message: /2 MiB/,
    });
  });

  it('writes unlimited as all bits set', () => {
    const frame = new FrameWriter(1).u64(BigInt(-1)).finish();
    assert.deepEqual([...body(frame)], [255, 255, 255, 255, 255, 255, 255, 255]);
  });

  for (const [what, bytes] of [
    ['a cut string', [5, 0, 0, 0, 97]],
    ['a string without its NUL', [1, 0, 0, 0, 97, 98]],
    ['a string with a NUL inside', [2, 0, 0, 0, 97, 0, 0]],
  ] as const) {
    it(`refuses ${what}`, () =>
      assert.throws(() => new FrameReader(Buffer.from(bytes)).string(), { code: 'internal' }));
  }

  it('refuses a list longer than its frame', () => {
    assert.throws(() => new FrameReader(Buffer.from([255, 255, 255, 255])).strings(), /longer than its frame/);
  });

  it('refuses bytes left over', () => {
    assert.throws(() => new FrameReader(Buffer.from([1])).finish(), /left over/);
  });

  it('cuts a stream into frames wherever it is split', () => {
    const frames = [new FrameWriter(1).u8(1), new FrameWriter(2), new FrameWriter(3).string('three')].map((w) =>
      w.finish(),
    );
    const stream = Buffer.concat(frames);
    for (let cut = 0; cut <= stream.length; cut++) {
      const splitter = new FrameSplitter();
      const seen = [...splitter.push(stream.subarray(0, cut)), ...splitter.push(stream.subarray(cut))];
      assert.deepEqual(
        seen.map(({ type }) => type),
        [1, 2, 3],
      );
      assert.deepEqual(
        seen.map(({ payload }) => payload),
        frames.map(body),
      );
      assert.ok(splitter.isEmpty);
    }
  });

  for (const length of [0, FRAME_BYTES_MAX + 1]) {
    it(`refuses a frame that claims ${length} bytes`, () => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32LE(length);
      assert.throws(() => new FrameSplitter().push(bytes), /claims/);
    });
  }

  it('decodes a shim’s status', () => {
    const frame = new FrameWriter(FRAME.status).u32(9).string('abc').u8(4).u32(77).u64(1234n);
    const bytes = frame.i32(137).u32(9).u8(1).u64(1_700_000_000_000n).string('one\ntwo\n').finish();
    assert.deepEqual(decodeStatus({ type: FRAME.status, payload: body(bytes) }), {
      request: 9,
      status: {
        containerId: 'abc',
        state: 'exited',
        pid: 77,
        startTimeTicks: 1234,
        exit: { exitCode: 137, signal: 9, oomKilled: true, atMs: 1_700_000_000_000 },
        warnings: ['one', 'two'],
      },
    });
  });

  it('refuses an unknown seccomp operator before anything is sent', () => {
    const rule = {
      names: ['x'],
      action: { kind: 'allow' as const },
      arguments: [{ index: 0, operator: 'SCMP_CMP_XOR', value: 0n, valueTwo: 0n }],
    };
    const spec = {
      args: ['true'],
      env: [],
      workingDirectory: '/',
      user: '',
      groups: [],
      terminal: false,
      capabilities: [],
      noNewPrivileges: false,
      rlimits: [],
      oomScoreAdjustment: 0,
      seccomp: { defaultAction: { kind: 'allow' as const }, architectures: [], rules: [rule] },
    };
    assert.throws(() => encodeExec(1, 'e', { stdin: false, stdout: false, stderr: false }, spec), { code: 'invalid' });
  });
});
