import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, writeScript } from '../harness/host.ts';

/** A PATH on which restore_command, with that segment copied, waits before it hands it to the server. */
export function holdRestore(host: Host, segment: string) {
  const [began, gate] = [join(host.directory, 'began'), join(host.directory, 'gate')];
  writeFileSync(gate, '');
  const wait = `touch ${began}; while test -e ${gate}; do sleep 0.1; done`;
  const caller = `$(tr '\\0' ' ' </proc/$PPID/cmdline)`;
  const body = `case "${caller}" in *--restore*${segment}*) ${wait} ;; esac\nexec /bin/mv "$@"`;
  const script = writeScript(host, 'mv', body);
  const directory = join(host.directory, 'shims');
  mkdirSync(directory);
  renameSync(script, join(directory, 'mv'));
  // So that what waits a second sixty times need not.
  renameSync(
    writeScript(host, 'sleep', `[ "$1" != 1 ] || exec /bin/sleep 0.1\nexec /bin/sleep "$@"`),
    join(directory, 'sleep'),
  );
  return {
    path: `${directory}:${process.env['PATH'] ?? ''}`,
    isHeld: () => existsSync(began),
    release: () => {
      renameSync(gate, `${gate}.open`);
    },
  };
}
