import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { placesOf } from '../../../src/setup/places.ts';
import { pinHost } from '../../../src/setup/ssh.ts';
import { temporaryDirectory } from '../system/temporary.ts';

test.each([
  [undefined, /-R beta$/],
  [22, /-R beta$/],
  [2222, /-R '\[beta\]:2222'$/],
])('the way out of a changed host key names it as known_hosts does, with the port %s', async (port, hint) => {
  const places = placesOf('primary', join(temporaryDirectory(), 'cmd_archiver.ini'));
  const stderr = '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @';
  const run = () => Promise.resolve({ kind: 'exited', code: 255, stdout: '', stderr } as never);
  await expect(pinHost({ run }, places, { host: 'beta', port }, 'postgres')).rejects.toThrow(
    expect.objectContaining({ hint: expect.stringMatching(hint) as string }) as Error,
  );
});

test('a host key that is in the file of the whole host is pinned as well', async () => {
  const places = placesOf('primary', join(temporaryDirectory(), 'cmd_archiver.ini'));
  const line = 'beta ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA+qZRzjTeyXXMIPoJyzyuvhyyZXJIn/WZIMQjkdvNV4\n';
  // As ssh does: it writes no line of a key that one of its files has.
  const run = async ({ program, args }: { program: string; args: readonly string[] }) => {
    if (program === 'ssh' && args.includes('GlobalKnownHostsFile=/dev/null')) {
      const option = args.find((arg) => arg.startsWith('UserKnownHostsFile='));
      await writeFile(option?.split(/[= ]/)[1] ?? '', line);
    }
    return { kind: 'exited', code: 255, stdout: '', stderr: 'Permission denied' } as never;
  };
  const pinned = await pinHost({ run }, places, { host: 'beta', port: undefined }, 'postgres');
  expect(pinned.wasKnown).toBe(true);
});
