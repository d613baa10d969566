import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseWalName, type WalName } from '../../../../../../src/postgres/wal-name.ts';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import { putBack, setAside } from '../../../../../../src/standby/actions/base-backup/wal/set-aside.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { localPlace } from '../facts-kit.ts';

const texts = ['000000010000000000000001', '000000010000000000000002', '000000010000000000000003'];
const names = texts.map(parseWalName).filter((name): name is WalName => name.kind !== 'not-wal');

function makeArchive() {
  const archivedir = temporaryDirectory();
  for (const name of texts) writeFileSync(join(archivedir, name), 'old');
  const notices: string[] = [];
  const log = { notice: (line: string) => notices.push(line), error: () => undefined };
  const deps = { log, now: () => 0, nonce: () => 'x' };
  const context = { deps, facts: { place: localPlace({ archivedir }) } } as unknown as BackupContext;
  return { archivedir, context, notices };
}

const [first = '', second = '', third = ''] = texts;

describe('WAL of another history', () => {
  test('is moved aside without what --cleanup removes at the same time, and put back', async () => {
    const { archivedir, context, notices } = makeArchive();
    rmSync(join(archivedir, second));
    const moved = await setAside(context, names);
    expect(readdirSync(moved.directory).sort()).toEqual([first, third]);
    expect(notices).toEqual([`moved 2 WAL files of another history to ${moved.directory}`]);
    await putBack(archivedir, moved);
    expect(readdirSync(archivedir).sort()).toEqual([first, third]);
  });

  test('is where it was if one file cannot be moved', async () => {
    const { archivedir, context } = makeArchive();
    const broken = [...names.slice(0, 2), { ...names[2], text: 'x'.repeat(300) } as WalName];
    await expect(setAside(context, broken)).rejects.toThrow('ENAMETOOLONG');
    expect(readdirSync(archivedir).sort()).toEqual(texts);
  });

  test('is not put back over what a delivery has brought meanwhile', async () => {
    const { archivedir, context } = makeArchive();
    const moved = await setAside(context, names);
    writeFileSync(join(archivedir, second), 'new');
    await expect(putBack(archivedir, moved)).rejects.toThrow(
      `1 WAL files stay in "${moved.directory}": a delivery has brought other bytes under their names, beginning with ${second}`,
    );
    expect(readFileSync(join(archivedir, second), 'utf8')).toBe('new');
    expect(readFileSync(join(moved.directory, second), 'utf8')).toBe('old');
    expect(readFileSync(join(archivedir, third), 'utf8')).toBe('old');
  });
});
