import { type Host, writeScript } from '../../../test/harness/host.ts';

export const hostKeys = '-o BatchMode=yes -o StrictHostKeyChecking=accept-new';

/** A script that calls ssh as this host's programs do: one path without arguments. */
export function sshScript(host: Host): string {
  return writeScript(host, 'bench-ssh', `exec ${host.ssh} ${hostKeys} "$@"`);
}
