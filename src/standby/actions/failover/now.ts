/** Whether a failover is possible now, for --status: by the facts and the objections of -F999 itself. Changes nothing. */
import { exitCodes, PitrError } from '../../../errors.ts';
import type { AskFailover } from '../../status/others.ts';
import { noForce } from '../../steps/force.ts';
import { observeHere } from './facts.ts';
import { listFailoverObjections } from './objections.ts';
import { observeFailover } from './observe.ts';

export const failoverNow: AskFailover = async (deps, { primary, others, readRecords }) => {
  try {
    const here = () => observeHere(deps, false, readRecords);
    const facts = await observeFailover(deps, { force: noForce, takeRole: false }, { primary, others, here });
    return { objections: listFailoverObjections(facts), siblings: facts.siblings };
  } catch (error) {
    if (!(error instanceof PitrError) || error.exitCode !== exitCodes.refused) throw error;
    const hint = [error.detail, error.hint].filter(Boolean).join(' ');
    return { objections: [{ message: error.message, hint: hint || undefined }], siblings: undefined };
  }
};
