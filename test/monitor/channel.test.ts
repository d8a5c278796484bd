import { ChannelMonitor } from '../../src/monitor/channel.ts'
import { testMonitor } from '../conformance/monitor.ts'

testMonitor('channel', () => new ChannelMonitor())
