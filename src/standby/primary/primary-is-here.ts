import { addressesOf, isLoopback, isThisHost, type Resolve } from '../../system/own-addresses.ts';
import type { StandbyDeps } from '../deps.ts';

/** An INI with one of these means this host: two servers on one machine, or the near end of a tunnel. */
function isWrittenAsLoopback(host: string): boolean {
  return host === 'localhost' || isLoopback(host);
}

/**
 * Warns that the INI file's primary is this very host. Debian's /etc/hosts gives a host's own name 127.0.1.1: the
 * primary's name leads there if cmd_standby is run on the primary by mistake.
 */
export async function sayWherePrimaryIsHere(
  deps: Pick<StandbyDeps, 'settings' | 'log'>,
  resolve: Resolve = addressesOf,
): Promise<void> {
  const { master_public_ip: host } = deps.settings;
  if (!(await isThisHost(host, resolve))) return;
  const message = `master_public_ip "${host}" is this very host`;
  if (isWrittenAsLoopback(host)) deps.log.notice(message);
  else
    deps.log.warning(message, {
      hint: 'Run cmd_standby only on the standby, never on the primary. This is right only if both servers run on this machine.',
    });
}
