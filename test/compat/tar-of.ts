// A tar of a few small files, for requests that carry one.
const BLOCK = 512;

export function tarOf(files: Readonly<Record<string, string>>): Uint8Array {
  const blocks = Object.entries(files).flatMap(([name, text]) => [header(name, text.length), padded(text)]);
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

function header(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void =>
    void block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at);
  block.write(name, 0);
  octal(0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(1_600_000_000, 136, 12);
  block.write('        0', 148);
  block.write('ustar\u000000', 257);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return block;
}

function padded(text: string): Buffer {
  const bytes = Buffer.alloc(Math.ceil(text.length / BLOCK) * BLOCK);
  bytes.write(text);
  return bytes;
}

/** An archive with the file `bzipped`, packed by bzip2. */
export const BZIPPED = Buffer.from(
  'QlpoOTFBWSZTWUmTRvoAADDbgOkAQAB/gAAgdiBeUAgIIABUUNRhGDRB5NAkk0jQZAAB9pIgjyKQ7CKc4WkZ1wEMmnAUGEPm4PSTipwNEQ5a8QUd/iRhkiZ1qS17F3JFOFCQSZNG+g==',
  'base64',
);

/** An archive with the file `xzipped`, packed by xz. */
export const XZIPPED = Buffer.from(
  '/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4Af/AEVdADweiVa+vWxibWJb0biTrg8n27pGeOjOKWtTLZqowfkkjuVkzL7Cjiaq91bBaJp+KKLafDhgfG0FK/spaGyYYY5WPHsmAAAAAADtQRCXyUdmUQABYYAQAAAAL+8C4bHEZ/sCAAAAAARZWg==',
  'base64',
);
