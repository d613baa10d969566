import { open } from 'node:fs/promises';

const pieceBytes = 1024 * 1024;

/** Whether two files have the same bytes. */
export async function haveSameContent(one: string, other: string): Promise<boolean> {
  const first = await open(one, 'r');
  try {
    const second = await open(other, 'r');
    try {
      if ((await first.stat()).size !== (await second.stat()).size) return false;
      const [a, b] = [Buffer.alloc(pieceBytes), Buffer.alloc(pieceBytes)];
      for (let offset = 0; ;) {
        const { bytesRead } = await first.read(a, 0, pieceBytes, offset);
        if (bytesRead === 0) return true;
        for (let had = 0; had < bytesRead;) {
          const read = await second.read(b, had, bytesRead - had, offset + had);
          if (read.bytesRead === 0) return false;
          had += read.bytesRead;
        }
        if (!a.subarray(0, bytesRead).equals(b.subarray(0, bytesRead))) return false;
        offset += bytesRead;
      }
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}
