/** MQTT.js, of the npm package `mqtt`. */
import { readFileSync } from 'node:fs';
import { DrivenClient } from './driven-client.ts';

export function mqttJsClient(caFile: string): DrivenClient {
  const manifest = new URL('../../node_modules/mqtt/package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const driver = new URL('mqttjs-driver.ts', import.meta.url).pathname;
  return new DrivenClient('MQTT.js', `MQTT.js ${version}`, {}, [process.execPath, driver, caFile]);
}
