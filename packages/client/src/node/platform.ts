/** The platform of Node: a turn ends when the events of one round of the event loop have been dealt with. */
import { randomBytes } from 'node:crypto';
import { type Platform, webPlatform } from '../client/platform.ts';

export const nodePlatform: Platform = {
  ...webPlatform,
  soon: (run) => setImmediate(run),
  later: (run, ms) => setTimeout(run, Math.min(ms, 0x7fff_ffff)),
  cancel: (timer) => clearTimeout(timer as NodeJS.Timeout),
  random: (count) => new Uint8Array(randomBytes(count)),
};
