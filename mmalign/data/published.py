"""What the public repository pliang279/MFN holds at one commit, and what each file must hash to.

64 digits are a SHA-256. 40 are the id that git gives a file, for those that were too large to be hashed here: the
SHA-1 of `blob`, the file's length and its content. The repository has no `text_train_emb.h5` of POM.
"""

COMMIT = "b0453fb6e21b581c796246a0c32a6551f2028c1b"
FOLDERS = {"ict-mmmo": "new_data/mmmo", "pom": "new_data/pom", "youtube": "new_data/youtube", "mosi": "data"}
DIGESTS = {
    "ict-mmmo": {
        "audio_test.h5": "1d701dc193b3e4404e35b97165fd33af19aff50d193a744488ec4c87ea0d6c44",
        "audio_train.h5": "4c37e59d75bf1fe17baf6d607e4e7eef228b9b16a145f64c9624d2fc8fcb1666",
        "audio_valid.h5": "37b39911ee143d712e36d1fcba5b41400d2b40bef9de3da419de7344486eb8e9",
        "text_test_emb.h5": "8f3bcab7716c482c209c393098fabe6362fa66b58eb9de5ebd4529c2cb53476b",
        "text_train_emb.h5": "9d3e4469b95a0b8efc6772b5ea3e64b77ad36ae4",
        "text_valid_emb.h5": "ff332edc367c23495f0a0194fc5a2b83d217565a6a9ab402f98cbbb60bdc3b95",
        "video_test.h5": "d0bfeb4a0ca249ac766b9c426146e4765b783463112e78665231a82c7b02f176",
        "video_train.h5": "2b7d7d442c1ef7aae0c06d19a845baeb5f8685ee844900f30d6cce643da42452",
        "video_valid.h5": "43a44a63e369bca2fc86c54fa42d9b3b30c03657b8f7287bdae60341f4767d8c",
        "y_test.h5": "17a83a344f15fc751bf10a052ade48d0944959052b30f33bc2c5216a31ea59ee",
        "y_train.h5": "872872ba80f2076a2f5287ace2e3cb72dff7abaa01e1906073c1d50a15a84d6e",
        "y_valid.h5": "e164e98d53b01e558af6eb232fdc0ca8660f8bd3e76469ca12bef124688a4c8f",
    },
    "pom": {
        "audio_test.h5": "15aa2f0eaa8787e5aec2de28636fb5b0181aeacc1e8f6eec56fce4cdade367ab",
        "audio_train.h5": "a7edb566f5d5026c9ed82222fbdbfc22d506fdd243c4c112f1ecca2f5155eee7",
        "audio_valid.h5": "430b49d06e7fc2a8ea11bf3636cd08df4366df18647acfda39d8014d342fb7cf",
        "text_test_emb.h5": "6274cdcf6d3bdb17a2cd07cfa958ae1bfcbfa86a",
        "text_valid_emb.h5": "da043264d2bac6f76eb54485ee109e51974303c8",
        "video_test.h5": "bd1bd57bf2bf4ad49b2ff03c79a3d13375627d23a531a6bde7b13a0f68f8c0dd",
        "video_train.h5": "936d32765899d8cab2d8c7c84fb5d6b91b249906d3e46ce51aa73c4f5b0d582d",
        "video_valid.h5": "39f8a4aabfe7deb94da001b9ca25ad087ddd155f2786de04a3cacd90a379bb80",
        "y_test.h5": "dec80f328c2e811fb28a04df2ad11495dc00be34a6c439d40b3d1848fe518a18",
        "y_train.h5": "420831e96b21c5fc77194c70c8a76f831fd04d3cc6cadd513e1749c3b325fef5",
        "y_valid.h5": "066fb33cef488591ff999b4c6859c990ff93645003cc795501c70b3ea87ac2ef",
    },
    "youtube": {
        "audio_test.h5": "bd489a967e7004d0f803f93311d0ed6fd1c72b5fa33cc6fc33bd275534080931",
        "audio_train.h5": "7517bcd9c1469cdf9151028c640ef3534212d4282bbf1634986ecff28e5306d8",
        "audio_valid.h5": "968a02845c1a12031b00cce6968579dee3f22dc153a0a5ab5b407147c1f65861",
        "text_test_emb.h5": "2092e3c144c3ebb8d5fa5151c69238f5baea2f7bee6469946c6d8d089090d12c",
        "text_train_emb.h5": "cd22fdf427e97af0de5c8356feedd84aba9a81e1",
        "text_valid_emb.h5": "c7b23458dd75ca81be747f78ea5eb6f011d3c9e1ba038e40e4b4b8ccc25272d0",
        "video_test.h5": "c6c868b0a0926506922bf2d51caaa88a85b60f79c8b8efd83084c5a1b5513fa0",
        "video_train.h5": "f59f74f7c23fd2a3cf157d4911e9e35cd8f0869a1e3afff4fff8751cceede639",
        "video_valid.h5": "e2ca4216532e2a60f0ff8fe46ff7db080e5bee03cf9bbd5e171733c8a820599c",
        "y_test.h5": "68707a166762430f3f00c7d4ac179e87e465ac1eaeff2622505587a33c09e5f5",
        "y_train.h5": "693d6a56517b0568878f618e63c86cce121d982a33c610c5cee494301bb6d453",
        "y_valid.h5": "5bc5f12900f3ebc0279f5920ea346a72cabee4fa59ee08f233f514725ab1cec7",
    },
    "mosi": {
        "X_test.h5": "accb7e77162a38b9e80d795f0145b1bf310dc17c",
        "X_train.h5": "174f63f5ceea7af785519d94506b28b1ffcbad74",
        "X_valid.h5": "b81c5cd24776541a3706d4805bd30e306c5e24d7",
        "y_test.h5": "66aec4997aa4adc23cf56f99597e69e857e339bc5b4bdbe4955fdf7f5f94c84f",
        "y_train.h5": "c276760dc2ac1248b5151542bd3be7db86ee2938eca90e9cf670a478a547e1ea",
        "y_valid.h5": "44bb15f400731d5d0c6955fc8f23ac47d9b0f2cc574a8f21706d97a8a228dc00",
    },
}
