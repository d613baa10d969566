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
