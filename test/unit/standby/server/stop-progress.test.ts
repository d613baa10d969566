import { describe, expect, test } from 'vitest';
import { type Working, writersOf } from '../../../../src/standby/server/stop-progress.ts';

const process = (pid: number, title: string): Working => ({ pid, title, written: 1000 });

const postmaster = process(1, '/usr/lib/postgresql/15/bin/postgres -D /data');
const session = process(2, 'postgres: alice shop 10.0.0.7(40112) SELECT');
const startup = process(3, 'postgres: startup recovering 000000010000000000000005');
const writer = process(4, 'postgres: background writer ');

describe('the writes that show how a shutdown goes on', () => {
  test('are those of all processes where the control file shows the last checkpoint', () => {
    const all = [postmaster, session, process(5, 'postgres: checkpointer ')];
    expect(writersOf('shutting-down', all)).toEqual(all);
  });

  test.each([
    'postgres: checkpointer ',
    'postgres: 15/main: checkpointer ',
    'postgres: checkpointer process   ',
    'postgres: writer process   ',
  ])("are those of a standby's last restartpoint: %s", (title) => {
    const own = process(5, title);
    expect(writersOf('in-archive-recovery', [postmaster, session, writer, own])).toEqual([own]);
  });

  test.each(['postgres: startup recovering 000000010000000000000005', 'postgres: 15/main: startup waiting'])(
    'are none while a standby still replays: %s',
    (title) => {
      const all = [postmaster, { ...startup, title }, process(5, 'postgres: checkpointer ')];
      expect(writersOf('in-archive-recovery', all)).toEqual([]);
    },
  );
});
