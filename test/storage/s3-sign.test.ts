import { expect, it } from 'vitest'
import { amzDate, S3Signer } from '../../src/storage/s3-sign.ts'

const KEYS = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }

// "Signature Calculations for the Authorization Header", Amazon S3 API reference: GET Object
it('signs as the reference does', () => {
  const headers = {
    host: 'examplebucket.s3.amazonaws.com',
    range: 'bytes=0-9',
    'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    'x-amz-date': amzDate(Date.UTC(2013, 4, 24)),
  }
  const signer = new S3Signer('us-east-1')
  const sign = (keys = KEYS) => signer.sign({ method: 'GET', path: '/test.txt', query: '', headers }, keys)
  const signature = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'
  const expected =
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
    `SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=${signature}`
  expect([sign(), sign()]).toEqual([expected, expected])
  // a key that was derived for another secret is not used
  expect(sign({ ...KEYS, secretAccessKey: 'another' })).not.toBe(expected)
  expect(sign()).toBe(expected)
})
